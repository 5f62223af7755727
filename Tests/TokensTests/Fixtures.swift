import Testing

@testable import Tokens

/// All tokens of these tests are made at this time, and end an hour later.
let madeAt: Int64 = 1_700_000_000
let endsAt: Int64 = madeAt + 3600

let key = Array("an example of thirty-two bytes..".utf8)
let otherKey = Array("another secret of thirty-two b..".utf8)

let plainPayload = #"{"sub":"web-1","iat":1700000000,"exp":1700003600}"#
let plainClaims = Claims(subject: "web-1", issuedAt: madeAt, expiresAt: endsAt)

/// A payload with the three required claims, and `more` behind them.
func payload(with more: String) -> String {
    plainPayload.dropLast() + ",\(more)}"
}

func verify(_ token: String, key: [UInt8] = key, now: Int64 = madeAt) throws -> Claims {
    try TokenVerifier(keyring: Keyring(TokenSecret(key))).verify(token, now: now).claims
}

func issue(_ claims: Claims) throws -> String {
    try TokenIssuer(key: Keyring.Key(secret: TokenSecret(key))).issue(claims)
}

/// Signed by openssl with the right key, so that nothing but the payload can be at fault.
func expectRefusal(
    ofPayload payload: String, as error: TokenError, now: Int64 = madeAt,
    sourceLocation: SourceLocation = #_sourceLocation
) throws {
    let token = try OpenSSL.token(payload: payload, key: key)
    #expect(throws: error, sourceLocation: sourceLocation) { try verify(token, now: now) }
}

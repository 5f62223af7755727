import Testing

@testable import Tokens

@Suite struct AudienceTests {
    private func verify(_ members: String?, issuer: String? = nil, audience: String? = nil) throws -> Claims {
        let token = try OpenSSL.token(payload: members.map(payload(with:)) ?? plainPayload, key: key)
        let verifier = try TokenVerifier(keyring: Keyring(TokenSecret(key)), issuer: issuer, audience: audience)
        return try verifier.verify(token, now: madeAt).claims
    }

    @Test(arguments: [#""aud":"relay""#, #""aud":["relay"]"#, #""aud":["other","relay"]"#])
    func `a relay takes tokens that name it, alone or among others`(members: String) throws {
        #expect(try verify(members, audience: "relay").audience?.contains("relay") == true)
    }

    @Test(
        arguments: [
            (nil, TokenError.claimMissing(.audience)),
            (#""aud":"Relay""#, .audienceRefused), (#""aud":"relay2""#, .audienceRefused),
            (#""aud":[]"#, .audienceRefused),
            (#""aud":["rel","ay"]"#, .audienceRefused), (#""aud":"relay ""#, .audienceRefused),
            (#""aud":"""#, .claimInvalid(.audience)), (#""aud":null"#, .claimInvalid(.audience)),
            (#""aud":7"#, .claimInvalid(.audience)), (#""aud":["relay",7]"#, .claimInvalid(.audience)),
            (#""aud":{"relay":1}"#, .claimInvalid(.audience)), (#""aud":["relay\n"]"#, .claimInvalid(.audience)),
        ] as [(String?, TokenError)])
    func `a relay with a name refuses tokens that do not name it`(members: String?, error: TokenError) throws {
        #expect(throws: error) { try verify(members, audience: "relay") }
    }

    /// RFC 7519 §4.1.3: whoever does not find himself in `aud` must reject the token.
    @Test(arguments: [#""aud":"relay""#, #""aud":[]"#])
    func `a relay without a name refuses tokens for somebody`(members: String) throws {
        #expect(throws: TokenError.audienceRefused) { try verify(members) }
    }

    @Test func `names are compared byte by byte`() throws {
        #expect(throws: TokenError.audienceRefused) { try verify(#""aud":"e\u0301""#, audience: "\u{e9}") }
        #expect(throws: TokenError.issuerRefused) { try verify(#""iss":"e\u0301""#, issuer: "\u{e9}") }
    }

    @Test func `a relay that asks for an issuer takes no other's tokens, and one that does not takes any`() throws {
        #expect(try verify(#""iss":"ops""#, issuer: "ops").issuer == "ops")
        #expect(try verify(#""iss":"ops""#).issuer == "ops")
        #expect(throws: TokenError.issuerRefused) { try verify(#""iss":"Ops""#, issuer: "ops") }
        #expect(throws: TokenError.claimMissing(.issuer)) { try verify(nil, issuer: "ops") }
        #expect(throws: TokenError.claimInvalid(.issuer)) { try verify(#""iss":["ops"]"#, issuer: "ops") }
        #expect(throws: TokenError.claimInvalid(.issuer)) { try verify(#""iss":["ops"]"#) }
    }

    @Test func `issuer and audience come back as they were issued`() throws {
        var claims = plainClaims
        claims.issuer = "ops"
        claims.audience = ["relay", "relay.example.com"]
        let verifier = try TokenVerifier(keyring: Keyring(TokenSecret(key)), issuer: "ops", audience: "relay")
        #expect(try verifier.verify(issue(claims), now: madeAt).claims == claims)
    }
}

import Tokens

/// Verifies one token, of a client with a narrow scope, `count` times.
func verifyToken(_ count: Int) throws {
    let issuedAt: Int64 = 1_700_000_000
    let secret = try TokenSecret(Array(repeating: 0x5a, count: TokenSecret.minimumBytes))
    let claims = Claims(
        subject: "laptop", issuedAt: issuedAt, expiresAt: issuedAt + 86_400, role: .client,
        allowedAgents: ["database", "web-*"], allowedAddresses: ["localhost:5432"], tokenID: "0123456789abcdef")
    let token = try TokenIssuer(key: Keyring.Key(secret: secret)).issue(claims)
    let verifier = TokenVerifier(keyring: Keyring(secret))
    var verified = 0
    for _ in 0..<count where try verifier.verify(token, now: issuedAt + 60).claims == claims { verified += 1 }
    try WorkDiffers.check(verified, is: count, "tokens verified")
}

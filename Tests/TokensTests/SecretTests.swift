import Testing

@testable import Tokens

@Suite struct SecretTests {
    @Test func `an empty secret is refused always`() {
        #expect(throws: TokenError.secretEmpty) { try TokenSecret([]) }
        #expect(throws: TokenError.secretEmpty) { try TokenSecret([], allowShort: true) }
    }

    @Test func `a secret of fewer than 32 bytes is refused unless it is asked for`() throws {
        #expect(throws: TokenError.secretTooShort(bytes: 31)) { try TokenSecret(Array(repeating: 1, count: 31)) }
        #expect(throws: TokenError.secretTooShort(bytes: 1)) { try TokenSecret([1]) }
        let short = try TokenSecret([1], allowShort: true)
        let token = try TokenIssuer(key: Keyring.Key(secret: short)).issue(plainClaims)
        #expect(try TokenVerifier(keyring: Keyring(short)).verify(token, now: madeAt).claims == plainClaims)
    }

    @Test func `32 bytes are enough and 4096 are the most`() throws {
        for count in [32, 4096] {
            let key = [UInt8](repeating: 9, count: count)
            let token = try OpenSSL.token(payload: plainPayload, key: key)
            #expect(try verify(token, key: key) == plainClaims)
        }
        #expect(throws: TokenError.secretTooLong(bytes: 4097)) { try TokenSecret(Array(repeating: 9, count: 4097)) }
    }

    @Test func `no way of printing a secret shows it`() throws {
        let secret = try TokenSecret(Array(repeating: 65, count: 32))
        var dumped = ""
        let verifier = TokenVerifier(keyring: Keyring(secret))
        dump((secret, verifier, TokenIssuer(key: Keyring.Key(secret: secret))), to: &dumped)
        let printed = "\(secret) \(String(reflecting: secret)) \(verifier) \(dumped)"
        #expect(printed.contains("<redacted>"))
        #expect(!printed.contains("65"))
        #expect(!printed.contains("AA"))
    }
}

@Suite struct ReasonTests {
    @Test(arguments: [
        (TokenError.badSignature, "bad signature"),
        (.malformed, "malformed token"),
        (.expired(secondsAgo: 42), "expired 42 s ago"),
        (.notYetValid(seconds: 30), "not valid for another 30 s"),
        (.algorithmRefused(AlgorithmName("none")), "algorithm none is not accepted"),
        (.claimMissing(.expiresAt), "claim exp is missing"),
        (.claimInvalid(.allowedAgents), "claim allowed_agents is not valid"),
        (.secretTooShort(bytes: 5), "the secret has 5 bytes, at least 32 are needed"),
    ])
    func `reasons are stable`(error: TokenError, reason: String) {
        #expect(error.reason == reason)
    }
}

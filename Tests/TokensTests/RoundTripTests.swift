import Testing

@testable import Tokens

@Suite struct RoundTripTests {
    @Test func `a token comes back with the claims that it was issued with`() throws {
        let claims = Claims(
            subject: "laptop", issuedAt: madeAt, expiresAt: endsAt, notBefore: madeAt + 5, role: .client,
            allowedAgents: ["web-*", "db"], allowedAddresses: ["localhost:5432", "[::1]:22"], tokenID: "4711")
        #expect(try verify(issue(claims)) == claims)
    }

    @Test func `a token with nothing but sub, iat and exp comes back so`() throws {
        #expect(try verify(issue(plainClaims)) == plainClaims)
    }

    @Test func `an empty list allows none and is not the same as no list`() throws {
        var claims = plainClaims
        claims.allowedAgents = []
        claims.allowedAddresses = []
        let received = try verify(issue(claims))
        #expect(received.allowedAgents == [])
        #expect(received.allowedAddresses == [])
        #expect(try verify(issue(plainClaims)).allowedAgents == nil)
    }

    @Test(arguments: ["Größe", "東京-1", "🚇", #"quote " slash / back \ end"#, "e\u{301}"])
    func `a subject in any script comes back byte for byte`(subject: String) throws {
        let received = try verify(issue(Claims(subject: subject, issuedAt: madeAt, expiresAt: endsAt)))
        #expect(Array(received.subject.utf8) == Array(subject.utf8))
    }

    @Test func `a subject in escapes is the same as one in UTF-8`() throws {
        let payload = #"{"s\u0075b":"Gr\u00f6\u00dfe","iat":1700000000,"exp":1700003600}"#
        #expect(try verify(OpenSSL.token(payload: payload, key: key)).subject == "Größe")
    }

    @Test(arguments: 1...40)
    func `every payload length survives the encoding`(length: Int) throws {
        let claims = Claims(
            subject: String(repeating: "s", count: length), issuedAt: madeAt, expiresAt: endsAt,
            allowedAgents: Array(repeating: "agent", count: length * 6))
        #expect(try verify(issue(claims)) == claims)
    }

    @Test func `openssl computes the signature that we issue`() throws {
        let token = try issue(plainClaims)
        let end = try #require(token.lastIndex(of: "."))
        #expect(try OpenSSL.hmac(of: String(token[..<end]), key: key) == token[token.index(after: end)...])
    }

    @Test(arguments: [
        #"{"alg":"HS256"}"#, #"{"typ":"JWT","alg":"HS256"}"#, #"{"alg":"HS256","typ":"jwt"}"#,
        #"{"alg":"HS256","kty":"oct","x":{"alg":"none"}}"#, " {\r\n\t\"alg\" : \"HS256\" } ",
    ])
    func `we verify what openssl signed, under any header that says HS256`(header: String) throws {
        #expect(try verify(OpenSSL.token(header: header, payload: plainPayload, key: key)) == plainClaims)
    }

    @Test func `unknown claims are ignored`() throws {
        let payload = payload(with: #""azp":"a","x":{"sub":"root","y":[1.5,null,true,"\"}]"]}"#)
        #expect(try verify(OpenSSL.token(payload: payload, key: key)) == plainClaims)
    }

    /// RFC 7515 appendix A.1. It names no subject, which is looked at after the signature only.
    @Test func `the signature of the published example holds`() throws {
        let text = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
        let key = try #require(Base64URL.decode(Substring(text).utf8))
        let signed =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
            + ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
        #expect(throws: TokenError.claimMissing(.subject)) {
            try verify(signed + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", key: key)
        }
        #expect(throws: TokenError.badSignature) {
            try verify(signed + ".eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", key: key)
        }
    }

    @Test func `one verifier serves many threads at once`() async throws {
        let verifier = try TokenVerifier(keyring: Keyring(TokenSecret(key)))
        let issuer = try TokenIssuer(key: Keyring.Key(secret: TokenSecret(key)))
        let stranger = try TokenIssuer(key: Keyring.Key(secret: TokenSecret(otherKey)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask { @concurrent in
                    for round in 0..<100 {
                        let claims = Claims(subject: "\(worker)-\(round)", issuedAt: madeAt, expiresAt: endsAt)
                        #expect(try verifier.verify(issuer.issue(claims), now: madeAt).claims == claims)
                        let foreign = try stranger.issue(claims)
                        #expect(throws: TokenError.badSignature) { try verifier.verify(foreign, now: madeAt) }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}

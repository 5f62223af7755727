import Testing

@testable import Tokens

@Suite struct KeyringTests {
    private let first = String(decoding: key, as: UTF8.self).replacing(" ", with: "-")
    private let second = String(decoding: otherKey, as: UTF8.self).replacing(" ", with: "-")
    private let third = String(repeating: "3", count: 32)

    private func ring(_ text: String) throws -> Keyring { try Keyring(reading: Array(text.utf8)) }

    private func token(_ key: Keyring.Key?) throws -> String {
        try TokenIssuer(key: #require(key)).issue(plainClaims)
    }

    @Test func `a ring has a line for each secret, with comments and blank lines between`() throws {
        let ring = try ring(
            "# since May\n\nkid=2026-05 \(first) # on the laptop\r\n\t\(second)\n  # nothing\nkid=b\t\(third)")
        #expect(ring.keys.map { $0.id?.description } == ["2026-05", nil, "b"])
        let secrets = try [first, second, third].map { try TokenSecret(Array($0.utf8)) }
        #expect(ring.keys.map(\.secret) == secrets)
    }

    @Test(arguments: [
        "a bare secret with spaces, kid= in it, # and all", "two lines\nof thirty-two bytes and more....",
        " kid is not what this line begins with ",
    ])
    func `a file without a line that begins with kid= is one secret, all of it`(text: String) throws {
        let keys = try ring(text).keys
        #expect(keys == [Keyring.Key(secret: try TokenSecret(Array(text.utf8)))])
    }

    @Test func `a secret that is no text is one secret`() throws {
        let bytes = Array("kid=a ".utf8) + [UInt8](repeating: 0xFF, count: 32)
        #expect(try Keyring(reading: bytes).keys.map(\.id) == [nil])
    }

    @Test func `a line that is no key is named, and so is a secret that is too short`() throws {
        func expectError(_ error: TokenError, _ text: String) {
            #expect(throws: error) { try ring(text) }
        }
        let good = "kid=a \(first)\n"
        for line in [
            "kid= \(second)", "kid=b", "kid=ö \(second)", "kid=b \(second) more", "b \(second)", "kid=b= \(second)",
        ] {
            expectError(.line(2, .keyMalformed), good + line)
        }
        expectError(.line(2, .keyTwice), good + "kid=a \(second)")
        expectError(.line(4, .keyTwice), good + "\(second)\n\n\(third)")
        expectError(.line(2, .secretTooShort(bytes: 5)), good + "kid=b short")
        expectError(.keyringEmpty, "# kid=a \(first)\n")
        expectError(.secretEmpty, "")
        #expect(TokenError.line(2, .secretTooShort(bytes: 5)).reason.hasPrefix("line 2: the secret has 5 bytes"))
    }

    @Test func `a file of comments and one secret is not taken for a longer secret`() throws {
        #expect(try ring("# ours\n\(first)").keys == [Keyring.Key(secret: TokenSecret(Array(first.utf8)))])
    }

    @Test func `a token is verified by the secret that its kid names, and by no other`() throws {
        let ring = try ring("kid=a \(first)\nkid=b \(second)")
        let verifier = TokenVerifier(keyring: ring)
        for id in ["a", "b"] {
            let verified = try verifier.verify(token(ring.key(KeyID(id))), now: madeAt)
            #expect(verified.claims == plainClaims)
            #expect(verified.key == ring.key(KeyID(id)))
        }
        let misnamed = try token(Keyring.Key(id: KeyID("b"), secret: ring.keys[0].secret))
        #expect(throws: TokenError.badSignature) { try verifier.verify(misnamed, now: madeAt) }
    }

    @Test func `an unknown kid is refused though a secret would verify the token`() throws {
        let verifier = TokenVerifier(keyring: try ring("kid=a \(first)\n\(second)"))
        let stranger = try token(Keyring.Key(id: KeyID("c"), secret: verifier.keyring.keys[0].secret))
        let error = try #require(throws: TokenError.self) { try verifier.verify(stranger, now: madeAt) }
        #expect(error == .keyUnknown(KeyID("c")))
        #expect(error.reason == "no secret has the token's key ID c")
        for kid in [#""x y""#, #""""#, #""a\nb""#, "\"\(String(repeating: "a", count: 65))\""] {
            let token = try OpenSSL.token(header: #"{"alg":"HS256","kid":\#(kid)}"#, payload: plainPayload, key: key)
            #expect(throws: TokenError.keyUnknown(nil)) { try verify(token) }
        }
        for kid in ["7", "null", #"["a"]"#] {
            let token = try OpenSSL.token(header: #"{"alg":"HS256","kid":\#(kid)}"#, payload: plainPayload, key: key)
            #expect(throws: TokenError.malformed) { try verify(token) }
        }
    }

    @Test func `a token without kid goes with the secret without one, or else with the first`() throws {
        let named = try ring("kid=a \(first)\nkid=b \(second)")
        let mixed = try ring("kid=a \(first)\n\(second)")
        let ofFirst = try token(Keyring.Key(secret: named.keys[0].secret))
        let ofSecond = try token(Keyring.Key(secret: named.keys[1].secret))
        #expect(try TokenVerifier(keyring: named).verify(ofFirst, now: madeAt).key == named.keys[0])
        #expect(throws: TokenError.badSignature) { try TokenVerifier(keyring: named).verify(ofSecond, now: madeAt) }
        #expect(try TokenVerifier(keyring: mixed).verify(ofSecond, now: madeAt).key == mixed.keys[1])
        #expect(throws: TokenError.badSignature) { try TokenVerifier(keyring: mixed).verify(ofFirst, now: madeAt) }
    }

    @Test func `the same kid with other bytes is another key`() throws {
        let before = try ring("kid=a \(first)").keys[0]
        #expect(try ring("kid=b \(second)\nkid=a \(first)").contains(before))
        #expect(try !ring("kid=a \(second)").contains(before))
        #expect(try !ring("kid=b \(first)").contains(before))
        #expect(try !ring(first).contains(before))
        #expect(try !ring("kid=a \(first)x").contains(before))
    }
}

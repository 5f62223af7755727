import Testing

@testable import Tokens

@Suite struct ForgeryTests {
    @Test(arguments: ["none", "None", "NONE"])
    func `a token without a signature is refused`(name: String) throws {
        let signed =
            "\(OpenSSL.base64URL(#"{"alg":"\#(name)","typ":"JWT"}"#.utf8)).\(OpenSSL.base64URL(plainPayload.utf8))"
        let error = TokenError.algorithmRefused(AlgorithmName(name))
        #expect(throws: error) { try verify(signed + ".") }
        #expect(throws: error) { try verify(signed + "." + OpenSSL.hmac(of: signed, key: key)) }
        #expect(throws: TokenError.malformed) { try verify(signed) }
        #expect(error.reason == "algorithm \(name) is not accepted")
    }

    @Test(arguments: [("HS384", "sha384"), ("HS512", "sha512"), ("hs256", "sha256"), ("Hs256", "sha256")])
    func `another name of an algorithm is refused even if the signature is right`(name: String, digest: String) throws {
        let token = try OpenSSL.token(
            header: #"{"alg":"\#(name)"}"#, payload: plainPayload, key: key, digest: digest)
        #expect(throws: TokenError.algorithmRefused(AlgorithmName(name))) { try verify(token) }
    }

    @Test(arguments: ["RS256", "ES256", "PS256", "EdDSA", "HS256 ", "HS256\\n", "", "HS2567"])
    func `an algorithm other than HS256 is refused though the signature is HS256's`(name: String) throws {
        let token = try OpenSSL.token(header: #"{"alg":"\#(name)"}"#, payload: plainPayload, key: key)
        #expect(throws: TokenError.algorithmRefused(AlgorithmName(name))) { try verify(token) }
    }

    @Test func `a public key taken for a secret does not make RS256 acceptable`() throws {
        let (publicKey, token) = try OpenSSL.rsaToken(payload: plainPayload)
        #expect(throws: TokenError.algorithmRefused(AlgorithmName("RS256"))) { try verify(token, key: publicKey) }
        let confused = try OpenSSL.token(payload: plainPayload, key: publicKey)
        #expect(throws: TokenError.badSignature) { try verify(confused) }
    }

    @Test(arguments: [
        (#"{"typ":"JWT"}"#, TokenError.algorithmMissing),
        ("{}", .algorithmMissing),
        (#"{"ALG":"HS256"}"#, .algorithmMissing),
        (#"{"x":{"alg":"HS256"}}"#, .algorithmMissing),
        (#"{"alg":null}"#, .malformed),
        (#"{"alg":["HS256"]}"#, .malformed),
        (#"{"alg":256}"#, .malformed),
        (#"{"alg":"none","alg":"HS256"}"#, .duplicateName),
        (#"{"alg":"HS256","alg":"HS256"}"#, .duplicateName),
        (#"{"alg":"HS256","\u0061lg":"none"}"#, .duplicateName),
        (#"{"alg":"HS256","crit":["exp"],"exp":1}"#, .criticalExtension),
        (#"{"alg":"HS256","crit":[]}"#, .criticalExtension),
        (#"{"alg":"HS256","crit":null}"#, .criticalExtension),
        (#"{"alg":"HS256","typ":"JWE"}"#, .typeRefused),
        (#"{"alg":"HS256","typ":"at+jwt"}"#, .typeRefused),
        (#"{"alg":"HS256","typ":""}"#, .typeRefused),
        (#"{"alg":"HS256","typ":7}"#, .typeRefused),
        (#"{"alg":"HS256\u0000"}"#, .malformed),
        (#"{"alg":"HS256","x":"\u0000"}"#, .malformed),
        (#"["alg","HS256"]"#, .malformed),
        (#""HS256""#, .malformed),
        (#"{"alg":"HS256"}x"#, .malformed),
        (#"{"alg":"HS256"}{}"#, .malformed),
        (#"{"alg":"HS256""#, .malformed),
        (#"{"alg":"HS256",}"#, .malformed),
        (#"{alg:"HS256"}"#, .malformed),
        (#"{'alg':'HS256'}"#, .malformed),
        (#"{"alg":"HS256" /* */}"#, .malformed),
        (#"{"alg":"HS256"#, .malformed),
        ("\u{FEFF}{\"alg\":\"HS256\"}", .malformed),
        ("", .malformed),
    ])
    func `a header that is not plainly HS256 is refused though the signature is right`(
        header: String, error: TokenError
    ) throws {
        let token = try OpenSSL.token(header: header, payload: plainPayload, key: key)
        #expect(throws: error) { try verify(token) }
    }

    @Test func `an algorithm's name cannot forge a line in the log`() throws {
        let header = #"{"alg":"x is accepted\nClient authenticated: client-id=root"}"#
        let token = try OpenSSL.token(header: header, payload: plainPayload, key: key)
        let error = try #require(throws: TokenError.self) { try verify(token) }
        #expect(error.reason == "algorithm unknown is not accepted")
    }

    @Test func `a changed payload is refused`() throws {
        let parts = try issue(plainClaims).split(separator: ".")
        let payload = OpenSSL.base64URL(#"{"sub":"web-2","iat":1700000000,"exp":1700003600}"#.utf8)
        #expect(throws: TokenError.badSignature) { try verify("\(parts[0]).\(payload).\(parts[2])") }
    }

    @Test func `a changed header is refused`() throws {
        let parts = try issue(plainClaims).split(separator: ".")
        let header = OpenSSL.base64URL(#"{"alg":"HS256","cty":"1"}"#.utf8)
        #expect(throws: TokenError.badSignature) { try verify("\(header).\(parts[1]).\(parts[2])") }
    }

    @Test func `one changed character anywhere is refused`() throws {
        let token = Array(try issue(plainClaims).utf8)
        for position in token.indices {
            var changed = token
            changed[position] = token[position] == UInt8(ascii: "A") ? UInt8(ascii: "B") : UInt8(ascii: "A")
            #expect(throws: TokenError.self, "at \(position)") { try verify(String(decoding: changed, as: UTF8.self)) }
        }
    }

    @Test func `a token cut short anywhere is refused`() throws {
        let token = try issue(plainClaims)
        for length in 0..<token.count {
            #expect(throws: TokenError.self, "at \(length)") { try verify(String(token.prefix(length))) }
        }
    }

    @Test func `a signature of another length is refused`() throws {
        let token = try issue(plainClaims)
        let signed = token.prefix(through: try #require(token.lastIndex(of: ".")))
        #expect(throws: TokenError.badSignature) { try verify(String(signed)) }
        #expect(throws: TokenError.badSignature) { try verify(token.dropLast(3) + "") }
        #expect(throws: TokenError.badSignature) { try verify(token + "AAAA") }
    }

    @Test func `another secret does not verify`() throws {
        let token = try issue(plainClaims)
        #expect(throws: TokenError.badSignature) { try verify(token, key: otherKey) }
        #expect(throws: TokenError.badSignature) { try verify(token, key: key + [1]) }
    }

    @Test func `a secret does not end at a NUL`() throws {
        let long = [7, 0] + key
        let token = try OpenSSL.token(payload: plainPayload, key: long)
        #expect(try verify(token, key: long) == plainClaims)
        #expect(throws: TokenError.badSignature) { try verify(token, key: [7, 0] + otherKey) }
    }
}

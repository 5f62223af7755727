import Testing

@testable import Tokens

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

@Suite struct StructureTests {
    @Test(arguments: ["", ".", "..", "...", "a", "a.b", "a.b.c.d", "{}.{}.x", "\0", "é.é.é"])
    func `text that is no token is malformed`(text: String) {
        #expect(throws: TokenError.malformed) { try verify(text) }
    }

    @Test func `nothing may stand around or between the parts`() throws {
        let token = try issue(plainClaims)
        let parts = token.split(separator: ".")
        let changed = [
            " " + token, token + " ", token + "\n", token + "\0", token + ".", token + ".x", token + "=", "." + token,
            "\(parts[0])=.\(parts[1]).\(parts[2])", "\(parts[0])..\(parts[1]).\(parts[2])",
            "\(parts[0]).\(parts[1]) .\(parts[2])", "\(parts[0]).\(parts[1])=.\(parts[2])",
            "\(parts[0])\n.\(parts[1]).\(parts[2])", "\(parts[0]).\(parts[1])+.\(parts[2])", "Bearer \(token)",
        ]
        for text in changed {
            #expect(throws: TokenError.malformed, "\(text.debugDescription)") { try verify(text) }
        }
    }

    /// The last character of an HS256 signature carries two bits that mean nothing.
    @Test func `a signature has one spelling only`() throws {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let token = try issue(plainClaims)
        let last = try #require(token.last.flatMap(alphabet.firstIndex))
        #expect(last % 4 == 0)
        for spelling in 1...3 {
            #expect(throws: TokenError.malformed) { try verify(token.dropLast() + String(alphabet[last + spelling])) }
        }
    }

    @Test(arguments: [
        "[]", "\"sub\"", "null", "1", "", " ", "{", "}", "{]", plainPayload + ",", plainPayload + plainPayload,
        #"{"sub"}"#, #"{"sub":}"#, #"{"sub":"a" "b":1}"#, #"{"sub":"a",,"iat":1}"#, #"{"sub":[}"#, #"{1:2}"#,
        #"{"sub":"a""#, #"{"x":nul}"#, #"{"x":{"y" 1}}"#, #"{"x":"#, #"{"x\"#,
    ])
    func `claims that are no JSON object are malformed though the signature is right`(payload: String) throws {
        let token = try OpenSSL.token(payload: payload, key: key)
        #expect(throws: TokenError.malformed) { try verify(token) }
    }

    /// JSONDecoder is lenient in values that nobody asks for. libjwt is not, and does not tell bad JSON from a bad signature.
    @Test(arguments: ["[1,]", "\"a\nb\"", #""\q""#, #""\ud800""#, "01", "1.", "+1", ".5", "1e400", "NaN"])
    func `a value that only libjwt finds malformed is refused as well`(value: String) throws {
        let token = try OpenSSL.token(payload: payload(with: #""x":\#(value)"#), key: key)
        let error = try #require(throws: TokenError.self) { try verify(token) }
        #expect(error == .badSignature || error == .malformed)
    }

    @Test(arguments: ["", "{\"x\":\"\u{FF}"].map { Array($0.utf8) } + [[0x7B, 0x22, 0xFF, 0x22, 0x3A, 0x31, 0x7D]])
    func `claims that are not text are malformed`(payload: [UInt8]) throws {
        let token = try OpenSSL.token(header: Array(#"{"alg":"HS256"}"#.utf8), payload: payload, key: key)
        #expect(throws: TokenError.malformed) { try verify(token) }
    }

    @Test func `claims in UTF-16 are malformed`() throws {
        let bytes = plainPayload.utf16.flatMap { [UInt8(truncatingIfNeeded: $0 >> 8), UInt8(truncatingIfNeeded: $0)] }
        let token = try OpenSSL.token(header: Array(#"{"alg":"HS256"}"#.utf8), payload: bytes, key: key)
        #expect(throws: TokenError.malformed) { try verify(token) }
    }

    @Test(arguments: [
        #"{"sub":"web-1\u0000","iat":1700000000,"exp":1700003600}"#,
        #"{"sub":"web-1","iat":1700000000,"exp":1700003600,"x":{"y":["\u0000"]}}"#,
        #"{"sub":"web-1","iat":1700000000,"exp":1700003600,"\u0000":1}"#,
        #"{"sub":"web-1","iat":1700000000,"exp\u0000x":1,"exp":1700003600}"#,
        "{\"sub\":\"web-1\",\"iat\":1700000000,\"exp\":1700003600}\0",
        "{\"sub\":\"web-1\0\",\"iat\":1700000000,\"exp\":1700003600}",
    ])
    func `a NUL anywhere is malformed`(payload: String) throws {
        try expectRefusal(ofPayload: payload, as: .malformed)
    }

    @Test func `an escaped backslash before u0000 is no NUL`() throws {
        let token = try OpenSSL.token(payload: payload(with: #""jti":"\\u0000""#), key: key)
        #expect(try verify(token).tokenID == #"\u0000"#)
    }

    @Test(arguments: [
        #""sub":"web-2""#, #""sub":"web-1""#, #""exp":1900000000"#, #""x":1,"x":1"#, #""s\u0075b":"web-2""#,
    ])
    func `a claim that occurs twice is refused`(second: String) throws {
        try expectRefusal(ofPayload: payload(with: second), as: .duplicateName)
    }

    @Test func `nesting is bounded`() throws {
        func nested(_ depth: Int) -> String {
            payload(with: #""x":"# + String(repeating: "[", count: depth) + String(repeating: "]", count: depth))
        }
        #expect(try verify(OpenSSL.token(payload: nested(JSONMembers.maximumDepth), key: key)) == plainClaims)
        try expectRefusal(ofPayload: nested(JSONMembers.maximumDepth + 1), as: .malformed)
        try expectRefusal(ofPayload: nested(2500), as: .malformed)
        let open = payload(with: #""x":"#).dropLast() + String(repeating: "[", count: 5000)
        try expectRefusal(ofPayload: String(open), as: .malformed)
    }

    @Test func `a token of 8 KiB is read and a longer one is not`() throws {
        let fill = 6095 - payload(with: #""x":"""#).utf8.count
        func token(_ fill: Int) throws -> String {
            let payload = payload(with: #""x":"\#(String(repeating: "x", count: fill))""#)
            return try OpenSSL.token(header: #"{"alg":"HS256"}"#, payload: payload, key: key)
        }
        let longest = try token(fill)
        #expect(longest.utf8.count == 8192)
        #expect(try verify(longest) == plainClaims)
        let tooLong = try token(fill + 1)
        #expect(throws: TokenError.tokenTooLong(bytes: 8193)) { try verify(tooLong) }
        #expect(throws: TokenError.tokenTooLong(bytes: 1 << 20)) { try verify(String(repeating: "a", count: 1 << 20)) }
    }

    @Test func `what is accepted of any text is what JSONDecoder reads in it`() throws {
        struct Document: Decodable {
            var sub: String?
        }
        struct Lists: Decodable {
            var list: [String]?
        }
        let seed = UInt64.random(in: .min ... .max)
        var random = SplitMix64(state: seed)
        let alphabet = Array(#"{}[]:,"\u0 1e-.truefalsnx"#.utf8) + [0, 0xC3, 0xFF, 0x0A]
        var accepted = 0
        for _ in 0..<5000 {
            var document = Array(payload(with: #""list":["db","w\u00e9b-*", "ü"]"#).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let position = Int.random(in: 0..<document.count, using: &random)
                document[position] = try #require(alphabet.randomElement(using: &random))
            }
            guard let members = try? JSONMembers(document) else { continue }
            accepted += 1
            let decoded = try? JSONDecoder().decode(Document.self, from: Data(document))
            #expect(members["sub"].flatMap(JSONText.string) == decoded?.sub, "seed \(seed): \(document)")
            let lists = try? JSONDecoder().decode(Lists.self, from: Data(document))
            #expect(members["list"].flatMap(JSONText.strings) == lists?.list, "seed \(seed): \(document)")
        }
        #expect(accepted > 500, "seed \(seed)")
    }
}

/// A small generator with a seed that can be printed.
private struct SplitMix64: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

import Testing

@testable import Tokens

@Suite struct ClaimsTests {
    @Test(arguments: [
        (#"{"iat":1700000000,"exp":1700003600}"#, Claims.Name.subject),
        (#"{"sub":"web-1","exp":1700003600}"#, .issuedAt),
        (#"{"sub":"web-1","iat":1700000000}"#, .expiresAt),
        (#"{"SUB":"web-1","iat":1700000000,"exp":1700003600}"#, .subject),
        ("{}", .subject),
    ])
    func `a required claim that is missing is named`(payload: String, name: Claims.Name) throws {
        try expectRefusal(ofPayload: payload, as: .claimMissing(name))
    }

    @Test(arguments: [
        #""1700003600""#, "1700003600.0", "1700003600.5", "1.7000036e9", "17000036E2", "-1700003600", "-0", "null",
        "true",
        "[1700003600]", "{}", "253402300800", "9223372036854775807",
    ])
    func `a time is a JSON integer within range, in each of the three claims`(time: String) throws {
        try expectRefusal(ofPayload: #"{"sub":"a","iat":1700000000,"exp":\#(time)}"#, as: .claimInvalid(.expiresAt))
        try expectRefusal(ofPayload: #"{"sub":"a","iat":\#(time),"exp":1700003600}"#, as: .claimInvalid(.issuedAt))
        try expectRefusal(ofPayload: payload(with: #""nbf":\#(time)"#), as: .claimInvalid(.notBefore))
    }

    /// libjwt does not read these at all, and says no more than that it failed.
    @Test(arguments: ["1e400", "9223372036854775808", "01700003600", "+1700003600", "0x10", "NaN", "Infinity"])
    func `a number that libjwt cannot hold is refused`(time: String) throws {
        let token = try OpenSSL.token(payload: #"{"sub":"a","iat":1700000000,"exp":\#(time)}"#, key: key)
        #expect(throws: TokenError.self) { try verify(token) }
    }

    @Test func `the times at both ends of the range are accepted`() throws {
        let claims = Claims(subject: "a", issuedAt: 0, expiresAt: Claims.latestTime, notBefore: 0)
        #expect(try verify(issue(claims), now: 0) == claims)
        #expect(
            try verify(OpenSSL.token(payload: #"{"sub":"a","iat":0,"exp":253402300799,"nbf":0}"#, key: key)) == claims)
    }

    @Test(arguments: [
        #""""#, "7", "null", #"["a"]"#, #""a\nb""#, #""a\u007fb""#, #""a\u0085b""#, #""a\u2028b""#, #""a\u202eb""#,
        #""\ud800""#, "\"\(String(repeating: "s", count: 257))\"", "\"\(String(repeating: "é", count: 129))\"",
    ])
    func `a subject that is no short line of text is refused`(subject: String) throws {
        let token = try OpenSSL.token(payload: #"{"sub":\#(subject),"iat":1700000000,"exp":1700003600}"#, key: key)
        let error = try #require(throws: TokenError.self) { try verify(token) }
        // libjwt refuses half a surrogate pair itself.
        #expect(error == (subject.contains("ud800") ? .badSignature : .claimInvalid(.subject)))
        try expectRefusal(
            ofPayload: payload(with: #""jti":\#(subject)"#),
            as: subject.contains("ud800") ? .badSignature : .claimInvalid(.tokenID))
    }

    @Test func `a subject of 256 bytes is accepted`() throws {
        let claims = Claims(subject: String(repeating: "é", count: 128), issuedAt: madeAt, expiresAt: endsAt)
        #expect(try verify(issue(claims)) == claims)
    }

    @Test(arguments: ["admin", "Agent", "agent ", ""])
    func `an unknown role is refused`(role: String) throws {
        try expectRefusal(ofPayload: payload(with: #""role":"\#(role)""#), as: .claimInvalid(.role))
    }

    @Test(arguments: ["null", "1", #"["agent"]"#])
    func `a role that is no string is refused`(role: String) throws {
        try expectRefusal(ofPayload: payload(with: #""role":\#(role)"#), as: .claimInvalid(.role))
    }

    @Test(arguments: [
        #""*""#, "null", "{}", "1", "[1]", "[null]", #"["a",["b"]]"#, #"[""]"#, #"["a\nb"]"#,
        #"["\#(String(repeating: "a", count: 257))"]"#, "[\(String(repeating: #""a","#, count: 256))\"a\"]",
    ])
    func `a list is an array of at most 256 short strings`(list: String) throws {
        try expectRefusal(ofPayload: payload(with: #""allowed_agents":\#(list)"#), as: .claimInvalid(.allowedAgents))
        try expectRefusal(
            ofPayload: payload(with: #""allowed_addresses":\#(list)"#), as: .claimInvalid(.allowedAddresses))
    }

    @Test func `a list of 256 entries and an entry of 256 bytes are accepted`() throws {
        var claims = plainClaims
        claims.allowedAgents = Array(repeating: "a", count: 256)
        claims.allowedAddresses = [String(repeating: "a", count: 256)]
        #expect(try verify(issue(claims)) == claims)
    }

    private static let digest = String(repeating: "A", count: 43)

    @Test(arguments: [
        "{}", #"{"jwk":{}}"#, #"{"kid":"a"}"#, #"{"X5T#S256":"\#(digest)"}"#, #"{"x5t#S256":"\#(digest)","jkt":"a"}"#,
    ])
    func `a token that is bound by something else than a digest of the key is refused`(confirmation: String) throws {
        try expectRefusal(ofPayload: payload(with: #""cnf":\#(confirmation)"#), as: .unsupportedConfirmation)
    }

    @Test(arguments: [
        "null", #""x""#, "[]", "7", #"{"x5t#S256":7}"#, #"{"x5t#S256":""}"#, #"{"x5t#S256":"abc"}"#,
        #"{"x5t#S256":"\#(digest)="}"#, #"{"x5t#S256":"\#(digest.dropLast())+"}"#,
        #"{"x5t#S256":"\#(digest.dropLast())B"}"#,
        #"{"x5t#S256":"\#(digest)A"}"#,
    ])
    func `a key's digest is 32 bytes of base64url and nothing else`(confirmation: String) throws {
        try expectRefusal(ofPayload: payload(with: #""cnf":\#(confirmation)"#), as: .claimInvalid(.confirmation))
    }

    @Test func `a name that occurs twice in cnf is refused`() throws {
        let twice = #""cnf":{"x5t#S256":"\#(Self.digest)","x5t#S256":"\#(Self.digest)"}"#
        try expectRefusal(ofPayload: payload(with: twice), as: .duplicateName)
    }

    @Test func `a bound token says which key, in base64url`() throws {
        let token = try OpenSSL.token(payload: payload(with: #""cnf":{"x5t#S256":"\#(Self.digest)"}"#), key: key)
        #expect(try verify(token).boundKey == Array(repeating: 0, count: 32))
        var claims = plainClaims
        claims.boundKey = (0..<32).map { UInt8(truncatingIfNeeded: $0 * 37 + 200) }
        #expect(try verify(issue(claims)) == claims)
        claims.boundKey = [1]
        #expect(throws: TokenError.claimInvalid(.confirmation)) { try issue(claims) }
    }

    @Test func `the signature is judged before the claims`() throws {
        let token = try OpenSSL.token(payload: payload(with: #""cnf":{}"#), key: otherKey)
        #expect(throws: TokenError.badSignature) { try verify(token) }
    }

    @Test func `no token is issued that would be refused`() throws {
        func expectRefusal(_ error: TokenError, _ change: (inout Claims) -> Void) {
            var claims = plainClaims
            change(&claims)
            #expect(throws: error) { try issue(claims) }
        }
        expectRefusal(.claimInvalid(.subject)) { $0.subject = "" }
        expectRefusal(.claimInvalid(.subject)) { $0.subject = "a\0b" }
        expectRefusal(.claimInvalid(.issuedAt)) { $0.issuedAt = -1 }
        expectRefusal(.claimInvalid(.expiresAt)) { $0.expiresAt = Claims.latestTime + 1 }
        expectRefusal(.claimInvalid(.expiresAt)) { $0.expiresAt = .max }
        expectRefusal(.claimInvalid(.notBefore)) { $0.notBefore = .min }
        expectRefusal(.claimInvalid(.allowedAgents)) { $0.allowedAgents = Array(repeating: "a", count: 257) }
        expectRefusal(.claimInvalid(.allowedAddresses)) { $0.allowedAddresses = ["\r"] }
        expectRefusal(.claimInvalid(.tokenID)) { $0.tokenID = "" }
        expectRefusal(.neverValid) { $0.expiresAt = $0.issuedAt }
        var claims = plainClaims
        claims.allowedAgents = Array(repeating: String(repeating: "a", count: 256), count: 256)
        let error = try #require(throws: TokenError.self) { try issue(claims) }
        guard case .tokenTooLong(let bytes) = error else { throw error }
        #expect(bytes > 65536)
    }
}

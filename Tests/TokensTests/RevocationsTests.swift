import Testing

@testable import Tokens

@Suite struct RevocationsTests {
    private func contains(_ id: String?, in text: String) throws -> Bool {
        var claims = plainClaims
        claims.tokenID = id
        return try Revocations(reading: Array(text.utf8)).contains(claims)
    }

    @Test func `a token is revoked by its ID on a line, whatever comment follows`() throws {
        let list = "# stolen laptop\n\n  a1 \nb2 # alice, until May\r\nc3\t#\nd4"
        for id in ["a1", "b2", "c3", "d4"] { #expect(try contains(id, in: list)) }
        for id in ["a", "A1", "a1 ", "#", "alice,", "stolen", nil] { #expect(try !contains(id, in: list)) }
    }

    @Test(arguments: ["", "\n", "# a1", "#a1\n"])
    func `an empty list and comments revoke nothing`(text: String) throws {
        #expect(try !contains("a1", in: text))
        #expect(try Revocations(reading: Array(text.utf8)) == Revocations())
    }

    @Test(arguments: ["token a1", "a1 alice", "a1 b2 # two"])
    func `a line of several words is an error and not a list of one`(line: String) {
        #expect(throws: TokenError.line(2, .revocationMalformed)) { try contains("a1", in: "# \n\(line)\nb2") }
    }

    @Test func `a file that is no text is an error`() {
        #expect(throws: TokenError.notText) { try Revocations(reading: [0x61, 0xFF, 0x0A]) }
    }
}

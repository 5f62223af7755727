import Testing

@testable import Wire

@Suite("Names and addresses")
struct NamesTests {
    @Test(
        "an agent ID is 1 to 64 of A-Z a-z 0-9 . _ -",
        arguments: ["a", "Z", "0", ".", "_", "-", "db-1.eu_WEST", String(repeating: "x", count: 64)])
    func agentID(text: String) throws {
        #expect(try #require(AgentID(text)).description == text)
    }

    @Test(
        "anything else is no agent ID",
        arguments: [
            "", " ", "a b", "a/b", "a:b", "a\n", "a\u{0}", "é", "а", "a*", "a,b", "🚇", "e\u{301}",
            String(repeating: "x", count: 65),
        ])
    func notAgentID(text: String) {
        #expect(AgentID(text) == nil)
    }

    @Test(
        "HOST:PORT is read and written back",
        arguments: [
            ("localhost:5432", "localhost", 5432), ("127.0.0.1:0", "127.0.0.1", 0), ("a:65535", "a", 65535),
            ("[::1]:80", "::1", 80), ("[2001:db8::7%eth0]:22", "2001:db8::7%eth0", 22),
            ("\(String(repeating: "h", count: 255)):1", String(repeating: "h", count: 255), 1),
        ] as [(String, String, UInt16)])
    func hostPort(text: String, host: String, port: UInt16) throws {
        let address = try #require(HostPort(text))
        #expect(address.host == host)
        #expect(address.port == port)
        #expect(address.description == text)
    }

    @Test("leading zeros in a port are read, and not written back")
    func leadingZeros() {
        #expect(HostPort("a:00080")?.description == "a:80")
    }

    @Test(
        "anything else is no address",
        arguments: [
            "", ":", "a", "a:", ":80", "a:b", "a:-1", "a:+1", "a: 1", "a:1 ", "a:65536", "a:99999", "a:000080", "a:1e3",
            "::1:80", "::1", "[::1]", "[::1]80", "[::1:80", "::1]:80", "[]:80", "[a]:80", "[[::1]]:80", "[[::1]:80",
            "[::1]]:80", "a[b:80", "a]b:80", "a b:80", "a\t:80", "a\u{0}:80", "é:80", "a:８０", "a:\u{301}80",
            "\(String(repeating: "h", count: 256)):1",
        ])
    func notHostPort(text: String) {
        #expect(HostPort(text) == nil)
    }
}

@Suite("Refusals")
struct RefusalTests {
    /// PROTOCOL §4.4, in its order. A code's spelling is the protocol's.
    private static let codes = [
        "authentication_failed", "token_expired", "token_revoked", "wrong_role", "agent_id_forbidden", "agent_id_taken",
        "replaced", "scope_required", "unsupported_version", "hello_timeout", "agent_forbidden", "agent_not_found",
        "client_forbidden",
        "target_forbidden", "target_refused", "target_unreachable", "malformed_message", "limit_exceeded", "draining",
        "internal_error",
    ]

    @Test("codes are spelled as PROTOCOL §4.4 has them")
    func spelling() {
        #expect(RefusalCode.allCases.map(\.rawValue) == Self.codes + ["unknown"])
    }

    @Test("what only a person can mend is not tried again")
    func transience() {
        let permanent: Set<RefusalCode> = [
            .authenticationFailed, .tokenExpired, .tokenRevoked, .wrongRole, .agentIDForbidden, .replaced,
            .scopeRequired, .unsupportedVersion, .agentForbidden, .clientForbidden, .targetForbidden, .malformedMessage,
        ]
        for code in RefusalCode.allCases {
            #expect(code.isTransient == !permanent.contains(code), "\(code)")
        }
    }

    @Test(
        "what could forge a log line or steer a terminal is not shown",
        arguments: [
            ("line\nAgent connected: agent-id=x", "lineAgent connected: agent-id=x"),
            ("a\r\u{0}\u{7}b", "ab"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred[0m"),
            ("\u{9b}2Jcleared", "2Jcleared"),
            ("abc\u{202e}cba", "abccba"),
            ("\u{2066}isolated\u{2069}\u{200f}", "isolated"),
            ("two\u{2028}lines\u{2029}", "twolines"),
            ("zero\u{200b}width\u{feff}", "zerowidth"),
            ("private\u{e000}use", "privateuse"),
            ("grüße, 世界 🚇", "grüße, 世界 🚇"),
            ("", ""),
        ])
    func cleaning(message: String, shown: String) {
        #expect(Refusal(.internalError, message).description == shown)
        #expect(Printable(message).description == shown)
    }

    @Test("a long message is cut at 500 characters as they come, shown or not")
    func length() {
        #expect(Refusal(.draining, String(repeating: "a", count: 16_000)).description.utf8.count == 500)
        let hidden = String(repeating: "\u{7}", count: 499) + "ab"
        #expect(Refusal(.draining, hidden).description == "a")
    }
}

@Suite("JSON lines")
struct JSONLineTests {
    @Test("members keep their order")
    func order() {
        #expect(jsonLine([("z", "1"), ("a", "2")]) == #"{"z":"1","a":"2"}"#)
        #expect(jsonLine([]) == "{}")
    }

    @Test("a value cannot leave its string")
    func escaping() {
        #expect(jsonLine([("m", "a\",\"admin\":\"1")]) == #"{"m":"a\",\"admin\":\"1"}"#)
        #expect(jsonLine([("m", "a\nb\\c\u{1}")]) == #"{"m":"a\nb\\c\u0001"}"#)
        #expect(jsonLine([("p", "/x")]) == #"{"p":"/x"}"#)
    }
}

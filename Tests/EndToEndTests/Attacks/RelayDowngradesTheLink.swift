import TestSupport
import Testing

/// Who listens where the relay should, and speaks less than it.
enum LesserRelay: CaseIterable, Sendable {
    case oldTLS, noProtocol, anotherProtocol

    var options: [String] {
        switch self {
        case .oldTLS: ["-tls1_2", "-alpn", "adit/1"]
        case .noProtocol: []
        case .anotherProtocol: ["-alpn", "adit/0"]
        }
    }

    var reason: String {
        switch self {
        case .oldTLS: "TLS handshake failed: "
        case .noProtocol: "the peer does not speak adit/1"
        case .anotherProtocol: "TLS handshake failed: "
        }
    }
}

@Suite(.serialized) struct `a malicious relay that speaks less than adit's TLS` {
    @Test(arguments: ["agent", "connect"], LesserRelay.allCases)
    func `is given no token`(role: String, relay: LesserRelay) throws {
        let site = try Site()
        let certificate = try HostileClient.certificate(in: site)
        let server = try Process(
            Program.path("openssl", package: "openssl"),
            ["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"] + certificate + relay.options,
            input: .pipe)
        let port = try port(atEndOf: server.output.waitForLine(containing: "ACCEPT "))
        let token = try site.token(subject: "db", role: role == "agent" ? "agent" : "client")
        let peer =
            role == "agent"
            ? try site.agent(at: "127.0.0.1:\(port)", target: "127.0.0.1:1", token: token)
            : try site.connect(at: "127.0.0.1:\(port)", token: token)
        let line = try peer.errors.waitForLine(containing: "Disconnected: ")
        #expect(line.contains(relay.reason))
        try server.wait()
        let secret = try text(of: token).split(separator: "\n")[0]
        #expect(!server.output.text.contains(secret))
    }
}

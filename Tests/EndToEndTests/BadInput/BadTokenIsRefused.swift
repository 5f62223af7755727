import TestSupport
import Testing

/// A token that does not let its bearer in, and what the relay must have against it.
enum BadToken: CaseIterable, Sendable {
    case wrongSecret, expired, notYetValid, tampered, withoutAlgorithm, withoutAlgorithmButSigned, wrongRole, otherAgent

    var expectedReason: String {
        switch self {
        case .wrongSecret, .tampered: "bad signature"
        case .expired: "expired"
        case .notYetValid: "not valid for another"
        case .withoutAlgorithm, .withoutAlgorithmButSigned: "algorithm none is not accepted"
        case .wrongRole: "the token is not for the role of"
        case .otherAgent: "the token does not allow the agent ID db"
        }
    }

    /// For a peer of this role that presents itself as the agent `db`, or wants to reach it.
    func text(for role: String, in site: Site) throws -> String {
        var token = ForgedToken(subject: "db", role: role)
        switch self {
        case .wrongSecret:
            return try token.signed(with: site.secret() + "x", in: site)
        case .expired:
            token = ForgedToken(subject: "db", role: role, issuedAt: -7200, expiresAt: -3600)
        case .notYetValid:
            token = ForgedToken(subject: "db", role: role, notBefore: 1800)
        case .tampered:
            let signature = try token.signed(with: site.secret(), in: site).split(separator: ".")[2]
            token.claims = ForgedToken(subject: "db", role: role, expiresAt: 360_000).claims
            return "\(token.unsigned).\(signature)"
        case .withoutAlgorithm:
            token.header = #"{"alg":"none"}"#
            return token.unsigned + "."
        case .withoutAlgorithmButSigned:
            token.header = #"{"alg":"none"}"#
        case .wrongRole:
            token = ForgedToken(subject: "db", role: role == "agent" ? "client" : "agent")
        case .otherAgent:
            token = ForgedToken(subject: "web", role: role)
        }
        return try token.signed(with: site.secret(), in: site)
    }
}

@Suite(.serialized) struct `a token that does not let its bearer in` {
    /// DESIGN gives the relay and the peer a second. The rest is for a machine that does other things meanwhile.
    private static let atOnce = Duration.seconds(2)

    private let site: Site
    private let relay: Relay

    init() throws {
        site = try Site()
        relay = try site.relay()
    }

    @Test(arguments: BadToken.allCases)
    func `an agent is told why, ends at once, and the relay logs the same reason`(token: BadToken) throws {
        let file = try site.file(holding: token.text(for: "agent", in: site))
        try check(token) { try site.agent(at: relay.address, target: "127.0.0.1:1", token: file) }
    }

    @Test(arguments: BadToken.allCases.filter { $0 != .otherAgent })
    func `a client is told why, ends at once, and the relay logs the same reason`(token: BadToken) throws {
        let file = try site.file(holding: token.text(for: "client", in: site))
        try check(token) { try site.connect(at: relay.address, token: file) }
    }

    private func check(_ token: BadToken, start: () throws -> Process) throws {
        var peer: Process?
        let time = try elapsed {
            let started = try start()
            peer = started
            #expect(try started.wait() == .exited(77))
        }
        #expect(time < Self.atOnce)

        let logged = try relay.process.errors.waitForLine(containing: "Authentication failed: ")
        let line = try #require(peer?.errors.lines.first { $0.hasPrefix("adit: ") })
        let prefix = "adit: authentication failed: "
        #expect(line.hasPrefix(prefix))
        let reason = String(line.dropFirst(prefix.count))
        #expect(reason.contains(token.expectedReason))
        #expect(logged.hasSuffix("Authentication failed: \(reason), ip=127.0.0.1"))
        #expect(try #require(peer?.output.text).isEmpty)
    }

    @Test func `a token that openssl signed with the right secret is as good as adit's`() throws {
        let token = try site.file(
            holding: ForgedToken(subject: "db", role: "agent").signed(with: site.secret(), in: site))
        let agent = try site.agent(at: relay.address, target: "127.0.0.1:1", token: token)
        try agent.output.waitForLine(containing: "Waiting for client connections")
        try relay.process.errors.waitForLine(containing: "Agent connected: agent-id=db, ip=127.0.0.1")
    }
}

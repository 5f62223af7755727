import TestSupport
import Testing

@Suite(.serialized) struct `a token that is revoked` {
    private static let reason = "the token has been revoked"

    private let site: Site
    private let echo: CountedEcho
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        echo = try CountedEcho()
        try site.directory.write("# nobody yet\n", to: "revoked")
        relay = try site.relay("--revocations", site.path("revoked"))
        honest = try HonestTunnel(in: site, at: relay)
    }

    private func revoke(_ lines: String...) throws {
        try site.directory.write(lines.map { $0 + "\n" }.joined(), to: "revoked")
    }

    @Test func `ends its client's link and connections within a second, and lets nobody in again`() throws {
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let token = try site.clientToken()
        let connect = try site.connect(at: relay.address, token: token.file)
        let connection = try Connection(to: connect.waitForTunnel())
        #expect(try connection.echoes("before"))

        let time = try elapsed {
            try revoke("# a stolen laptop", "\(token.id) # alice")
            _ = try connection.receiveUntilGone()
        }
        #expect(time < .seconds(1))
        #expect(try connect.reasonOfRefusal() == Self.reason)
        try relay.process.errors.waitForLine(
            containing: "Client disconnected: client-id=laptop, ip=127.0.0.1, reason=\(Self.reason)")

        let again = try site.connect(at: relay.address, token: token.file)
        #expect(try again.reasonOfRefusal() == Self.reason)
        try relay.process.errors.waitForLine(containing: "Authentication failed: \(Self.reason), ip=127.0.0.1")
        let other = try site.connect(at: relay.address, state: "other")
        #expect(try Connection(to: other.waitForTunnel()).echoes("another token of the same subject"))
        withExtendedLifetime(other) {}
        try honest.check()
    }

    @Test func `ends its agent's link, and the tunnels to it`() throws {
        let token = try site.token(role: "agent", subject: "db")
        let agent = try site.agent(at: relay.address, target: echo.address, token: token.file)
        try agent.waitUntilRegistered()
        let connect = try site.connect(at: relay.address)
        let connection = try Connection(to: connect.waitForTunnel())
        #expect(try connection.echoes("before"))
        try revoke(token.id)
        _ = try connection.receiveUntilGone()
        #expect(try agent.reasonOfRefusal() == Self.reason)
        try relay.process.errors.waitForLine(containing: "Agent not found: db")
        #expect(connect.end == nil)
        try honest.check()
    }

    @Test func `stays revoked while its list cannot be understood, which the log says once`() throws {
        let token = try site.clientToken()
        try revoke(token.id)
        try relay.process.errors.waitForLine(containing: "Revocations read again: tokens=1")
        try revoke("the token of", "alice")
        let line = try relay.process.errors.waitForLine(containing: "Revocations not read again")
        #expect(line.contains("revoked: line 1: expected one token ID"))
        #expect(try site.connect(at: relay.address, token: token.file).reasonOfRefusal() == Self.reason)
        #expect(relay.process.errors.lines.filter { $0.contains("Revocations not read again") }.count == 1)
        try honest.check()
    }
}

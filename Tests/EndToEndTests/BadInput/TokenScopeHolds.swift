import TestSupport
import Testing

@Suite(.serialized) struct `what a token allows` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    @Test func `two clients reach their own agents over one relay, and neither the other's`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        var running: [Process] = []
        for id in ["a", "b"] {
            let echo = try CountedEcho()
            running.append(try site.registeredAgent(id, at: relay.address, target: echo.address, state: "agent-\(id)"))
            let connect = try site.connect(to: id, at: relay.address, state: "connect-\(id)")
            running.append(connect)
            #expect(try Connection(to: connect.waitForTunnel()).echoes("to \(id)"))
            // The first agent's service has been asked once, and not again for the second.
            #expect(echo.connections == 1)
        }

        let token = try site.token(subject: "laptop", role: "client", agents: ["a"])
        let stray = try site.connect(to: "b", at: relay.address, token: token, state: "connect-a")
        #expect(try stray.wait() == .exited(77))
        #expect(stray.errors.lines.last == "adit: the token does not allow the agent b")
        try relay.process.errors.waitForLine(
            containing: "Tunnel refused: client-id=laptop, agent-id=b, ip=127.0.0.1, reason=")
    }

    @Test func `a relay that requires scope refuses tokens without one, and takes those with one`() throws {
        let relay = try site.relay("--require-scope")
        defer { withExtendedLifetime(relay) {} }
        let echo = try CountedEcho()
        let plain = try site.token(subject: "db", role: nil)
        let roleOnly = try site.token(subject: "laptop", role: "client")
        for (peer, reason) in [
            (try site.agent(at: relay.address, target: echo.address, token: plain), "name a role"),
            (try site.connect(at: relay.address, token: plain), "name a role"),
            (try site.connect(at: relay.address, token: roleOnly), "name their agents"),
        ] {
            #expect(try peer.wait() == .exited(77))
            let line = try #require(peer.errors.lines.last { $0.hasPrefix("adit: authentication failed: ") })
            #expect(line.hasSuffix(reason))
        }
        try relay.process.errors.waitForLine(containing: "Authentication failed: ", occurrence: 3)

        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("scoped"))
        withExtendedLifetime(agent) {}
    }

    @Test func `an address that the token does not allow is refused by the agent, an allowed one is not`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let (echo, other) = (try CountedEcho(), try CountedEcho())
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let stray = try site.connect(
            at: relay.address,
            token: site.token(
                "--role", "client", "--sub", "laptop", "--agent", "db", "--allowed-address", other.address))
        #expect(try stray.wait() == .exited(77))
        #expect(stray.errors.lines.last == "adit: the token does not allow the address \(echo.address)")
        #expect(echo.connections == 0)

        let allowed = try site.connect(
            at: relay.address,
            token: site.token(
                "--role", "client", "--sub", "laptop", "--agent", "db", "--allowed-address", other.address,
                "--allowed-address", echo.address))
        #expect(try Connection(to: allowed.waitForTunnel()).echoes("allowed"))
    }
}

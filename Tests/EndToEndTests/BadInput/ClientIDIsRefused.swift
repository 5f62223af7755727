import TestSupport
import Testing

@Suite(.serialized) struct `a client that an agent with --allow-client does not name` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `is refused, and both ends say so; those named are let in`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(
            at: relay.address, target: echo.address, options: ["--allow-client", "alice", "--allow-client", "bob"])
        defer { withExtendedLifetime(agent) {} }
        let mallory = try site.token(subject: "mallory", role: "client", agents: ["db"])
        let connect = try site.connect(at: relay.address, token: mallory)
        #expect(try connect.wait() == .exited(77))
        #expect(
            connect.errors.lines.suffix(2) == [
                "adit: this agent does not allow the client mallory",
                "hint: add the token's --sub to the agent's --allow-client options",
            ])
        try agent.errors.waitForLine(
            containing: "Tunnel refused: client-id=mallory, ip=127.0.0.1, reason=not an allowed client")
        #expect(echo.connections == 0)

        for name in ["alice", "bob"] {
            let token = try site.token(subject: name, role: "client", agents: ["db"])
            let connect = try site.connect(at: relay.address, token: token)
            #expect(try Connection(to: connect.waitForTunnel()).echoes("I am \(name)"))
        }
    }

    @Test func `is refused even when its key is authorized, and the other way round`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let key = try site.run(["key", "generate", "--state-dir", site.path("connect")]).output
        let clients = try site.directory.write(key, to: "clients")
        let agent = try site.registeredAgent(
            at: relay.address, target: echo.address,
            options: ["--authorized-clients", clients, "--allow-client", "alice"])
        defer { withExtendedLifetime(agent) {} }
        let mallory = try site.token(subject: "mallory", role: "client", agents: ["db"])
        let alice = try site.token(subject: "alice", role: "client", agents: ["db"])
        let byName = try site.connect(at: relay.address, token: mallory)
        #expect(try byName.wait() == .exited(77))
        let byKey = try site.connect(at: relay.address, token: alice, state: "other-key")
        #expect(try byKey.wait() == .exited(77))
        #expect(byKey.errors.lines.contains { $0.contains("does not accept this machine's key") })
        #expect(echo.connections == 0)
        let both = try site.connect(at: relay.address, token: alice)
        #expect(try Connection(to: both.waitForTunnel()).echoes("name and key"))
    }
}

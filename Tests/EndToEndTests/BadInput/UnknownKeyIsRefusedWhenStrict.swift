import TestSupport
import Testing

@Suite(.serialized) struct `with --strict, a key that is not known` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `of a relay is refused by both peers, and taken by whoever does as told`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let key = try relay.key()
        let expected = { (state: String) in
            "the key of relay \(relay.address) is not known: presented \(key); if that is the right one, "
                + "add the line '\(relay.address) \(key)' to \(site.path(state))/known_relays"
        }
        let agent = try site.agent(at: relay.address, target: echo.address, options: ["--strict"])
        #expect(try agent.wait() == .exited(77))
        #expect(agent.errors.lines.filter { !$0.contains(" info  Sandbox ") } == ["adit: \(expected("agent"))"])
        let connect = try site.connect(at: relay.address, options: ["--strict"])
        #expect(try connect.wait() == .exited(77))
        #expect(connect.errors.lines.filter { !$0.contains(" info  Sandbox ") } == ["adit: \(expected("connect"))"])

        try site.directory.write("\(relay.address) \(key)\n", to: "agent/known_relays")
        _ = try site.registeredAgent(at: relay.address, target: echo.address, options: ["--strict"])
    }

    @Test func `of an agent is refused by connect, and the pinned or remembered one is not`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let agentKey = try key(ofAgent: agent)
        let strict = ["--strict", "--relay-key", try relay.key()]
        let refused = try site.connect(at: relay.address, options: strict)
        #expect(try refused.wait() == .exited(77))
        #expect(
            refused.errors.lines.last
                == "adit: the key of agent db is not known: presented \(agentKey); if that is the right one, add the "
                + "line '\(relay.address)/db \(agentKey)' to \(site.path("connect"))/known_agents")
        #expect(echo.connections == 0)

        let pinned = try site.connect(at: relay.address, options: strict + ["--agent-key", agentKey])
        #expect(try Connection(to: pinned.waitForTunnel()).echoes("pinned"))
        // What one connect remembers, under a name that the file does not tell, another knows.
        let first = try site.connect(at: relay.address, options: ["--hash-known-names"])
        #expect(try Connection(to: first.waitForTunnel()).echoes("first use"))
        for file in ["known_agents", "known_relays"] {
            let line = try text(of: site.path("connect/\(file)"))
            #expect(line.hasPrefix("|HMAC-SHA256|") && !line.contains(relay.address))
        }
        let second = try site.connect(at: relay.address, options: ["--strict"])
        #expect(try Connection(to: second.waitForTunnel()).echoes("known"))
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a key that has changed` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `of a relay is refused by both peers, with both keys and the file to edit`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        _ = try connect.waitForTunnel()

        relay.process.send(SIGTERM)
        try relay.process.wait()
        let other = try site.relay(listen: relay.address, state: "other-relay")
        let keys = (old: try relay.key(), new: try other.key())
        try #require(keys.new != keys.old)
        for (peer, state) in [(agent, "agent"), (connect, "connect")] {
            #expect(try peer.wait() == .exited(77))
            let line = try #require(peer.errors.lines.last { $0.hasPrefix("adit: ") })
            #expect(line.contains("known \(keys.old), presented \(keys.new)"))
            #expect(line.hasSuffix("remove line 1 of \(site.path(state))/known_relays"))
        }

        // Whoever does as told is let in.
        try site.directory.write("", to: "agent/known_relays")
        _ = try site.registeredAgent(at: other.address, target: echo.address)
    }

    @Test func `of an agent is refused by connect, with both keys and the file to edit`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("before"))

        agent.send(SIGTERM)
        try agent.wait()
        let other = try site.registeredAgent(at: relay.address, target: echo.address, state: "other-agent")
        #expect(try connect.wait() == .exited(77))
        let line = try #require(connect.errors.lines.last { $0.hasPrefix("adit: ") })
        #expect(line.contains("known \(try key(ofAgent: agent)), presented \(try key(ofAgent: other))"))
        #expect(line.hasSuffix("remove line 1 of \(site.path("connect"))/known_agents"))
        #expect(echo.connections == 1)

        try site.directory.write("", to: "connect/known_agents")
        let again = try site.connect(at: relay.address)
        #expect(try Connection(to: again.waitForTunnel()).echoes("after"))
    }
}

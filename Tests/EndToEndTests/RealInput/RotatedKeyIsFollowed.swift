import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a key that was rotated` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    private func rotate(_ state: String) throws -> String {
        let made = try site.run(["key", "rotate", "--state-dir", site.path(state)])
        guard made.end == .exited(0) else { throw ProcessError(made.errors) }
        return String(made.output.dropLast())
    }

    @Test func `of an agent is followed by those who trust the old one, and the old one is trusted no more`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let old = try key(ofAgent: agent)
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("the old key"))
        let copy = site.path("old")
        #expect(try Process.run("/bin/cp", ["-a", site.path("agent"), copy]).end == .exited(0))

        // Twice, so that connect has to follow from one to the next.
        _ = try rotate("agent")
        let new = try rotate("agent")
        agent.send(SIGTERM)
        try agent.wait()
        let successor = try site.registeredAgent(at: relay.address, target: echo.address)
        #expect(try key(ofAgent: successor) == new)
        #expect(try Connection(to: connect.waitForTunnel(occurrence: 2)).echoes("the new key"))
        try connect.errors.waitForLine(containing: "notice Key rotated: agent db, from=\(old), key=\(new)")
        #expect(try text(of: site.path("connect/known_agents")) == "\(relay.address)/db \(new)\n")

        // A pin on the old key leads to the new one; with --strict as well.
        let pinned = try site.connect(
            at: relay.address, options: ["--strict", "--agent-key", old])
        #expect(try Connection(to: pinned.waitForTunnel()).echoes("pinned"))

        // Who has stolen the old key cannot go back.
        successor.send(SIGTERM)
        try successor.wait()
        let thief = try site.registeredAgent(at: relay.address, target: echo.address, state: "old")
        #expect(try key(ofAgent: thief) == old)
        #expect(try connect.wait() == .exited(77))
        let line = try #require(connect.errors.lines.last { $0.hasPrefix("adit: ") })
        #expect(line.contains("has changed: known \(new), presented \(old)"))
        #expect(echo.connections == 3)
    }

    @Test func `of an agent gets the ID when the link of the old key has ended`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        _ = try rotate("agent")
        let successor = try site.agent(at: relay.address, target: echo.address)
        try successor.errors.waitForLine(containing: "the agent ID db is registered with another key")
        agent.send(SIGTERM)
        #expect(try agent.wait() == .exited(0))
        try successor.waitUntilRegistered()
    }

    @Test func `of a relay is followed by both peers`() throws {
        let relay = try site.relay()
        let old = try relay.key()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address, options: ["--relay-key", old])
        _ = try connect.waitForTunnel()
        let new = try rotate("relay")
        relay.process.send(SIGTERM)
        try relay.process.wait()
        let successor = try site.relay(listen: relay.address)
        #expect(try successor.key() == new)
        #expect(try Connection(to: connect.waitForTunnel(occurrence: 2)).echoes("over the new one"))
        for peer in [agent, connect] {
            try peer.errors.waitForLine(containing: "Key rotated: relay \(relay.address), from=\(old), key=\(new)")
        }
        #expect(try text(of: site.path("agent/known_relays")) == "\(relay.address) \(new)\n")
    }

    @Test func `of a client must be authorized anew`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let first = try site.run(["key", "generate", "--state-dir", site.path("connect")]).output
        let clients = try site.directory.write(first, to: "clients")
        let agent = try site.registeredAgent(
            at: relay.address, target: echo.address, options: ["--authorized-clients", clients])
        defer { withExtendedLifetime(agent) {} }
        let second = try rotate("connect")
        let refused = try site.connect(at: relay.address)
        #expect(try refused.wait() == .exited(77))
        try site.directory.write("\(second)\n", to: "clients")
        let again = try site.connect(at: relay.address)
        #expect(try Connection(to: again.waitForTunnel()).echoes("authorized anew"))
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Two machines and a cable between them, of which a firewall loses what a test tells it to.
///
///     ┌ home ─────────────────┐          ┌ public ─────────────────┐
///     │ echo ◄─ agent         │          │ relay ◄─ connect        │
///     │          10.0.0.1 eth0├──────────┤eth0 10.0.0.2            │
///     └───────────────────────┘          └─────────────────────────┘
@Suite(.serialized, .enabled(if: mayMakeNetworks, "networks are root's to make"))
struct `links that die without a word` {
    private let site: Site
    private let home: Network
    private let open: Network
    private let relay: Relay
    private let relayAddress: String
    private let echo: Service

    init() throws {
        site = try Site()
        let home = try Network("home")
        let open = try Network("public")
        try home.connect(to: open)
        self.home = home
        self.open = open
        relay = try site.relay(listen: "10.0.0.2:0", through: open.launcher)
        relayAddress = "10.0.0.2:\(relay.port)"
        echo = try home.inside { try Service.echo() }
    }

    private func agent() throws -> Process {
        try site.registeredAgent(at: relayAddress, target: "127.0.0.1:\(echo.port)", through: home.launcher)
    }

    private func connect() throws -> Process {
        try site.connect(at: relayAddress, through: open.launcher)
    }

    private func connection(to port: UInt16) throws -> Connection {
        try open.inside { try Connection(to: port) }
    }

    @Test func `an agent that crashed, and whose link the relay still believes in, replaces it at once`() throws {
        let agent = try agent()
        defer { withExtendedLifetime(agent) {} }
        let connect = try connect()
        #expect(try connection(to: connect.waitForTunnel()).echoes("before"))
        let old = try #require(try home.localPorts(towards: relay.port).first)
        try home.drop("tcp sport \(old)")
        agent.send(SIGKILL)
        try agent.wait()

        var again: Process?
        let time = try elapsed { again = try self.agent() }
        // A link that nobody has replaced is found dead after 20 s at the earliest.
        #expect(time < .seconds(5))
        try relay.process.errors.waitForLine(containing: "Agent connected: agent-id=db, ip=10.0.0.1", occurrence: 2)
        // The old link was there until the new one took its place.
        let end = try relay.process.errors.waitForLine(containing: "Agent disconnected: agent-id=db, ip=10.0.0.1")
        #expect(end.hasSuffix("has registered the agent ID db since"))
        #expect(try connection(to: connect.waitForTunnel(occurrence: 2)).echoes("after"))
        withExtendedLifetime(again) {}
    }

    @Test func `a dead link is noticed at both ends within 30 s, and the agent is back when it heals`() throws {
        let agent = try agent()
        defer { withExtendedLifetime(agent) {} }
        let connect = try connect()
        let port = try connect.waitForTunnel()
        #expect(try connection(to: port).echoes("before"))

        try home.drop("tcp dport \(relay.port)")
        try open.drop("tcp sport \(relay.port) ip daddr 10.0.0.1")
        // What this machine may be late by.
        let limit = Duration.seconds(30) + .seconds(2)
        let time = try elapsed {
            try agent.errors.waitForLine(containing: "Disconnected: ", within: limit)
            try relay.process.errors.waitForLine(containing: "Agent disconnected: agent-id=db", within: limit)
        }
        #expect(time < limit)
        for (log, line) in [(agent.errors, "Disconnected: "), (relay.process.errors, "Agent disconnected: ")] {
            #expect(try log.waitForLine(containing: line).contains("nothing heard for"))
        }

        try home.lift()
        try open.lift()
        try agent.output.waitForLine(containing: "Connected to relay: ", occurrence: 2, within: .seconds(60))
        #expect(try connection(to: connect.waitForTunnel(occurrence: 2)).echoes("after"))
        #expect(agent.end == nil && connect.end == nil)
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a connection that comes while there is no agent` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `waits, and succeeds once the agent is back`() throws {
        try withAgentGone { port, restart in
            let connection = try Connection(to: port)
            try connection.send("early")
            try restart()
            #expect(try connection.receive(exactly: 5) == Array("early".utf8))
            #expect(echo.connections == 1)
        }
    }

    @Test func `holds what fits into its sockets' buffers, and loses none of it`() throws {
        try withAgentGone { port, restart in
            let connection = try Connection(to: port)
            let sent = try connection.sendUntilFull(limit: 64 << 20)
            // Linux lets a socket's two buffers grow to 4 and 6 MiB; connect adds nothing to that.
            #expect(sent < 16 << 20)
            try restart()
            #expect(try connection.receive(exactly: sent).allSatisfy { $0 == 0 })
        }
    }

    /// Gives `body` the local port of a tunnel that has lost its agent, and what starts another.
    private func withAgentGone(_ body: (_ port: UInt16, _ restart: () throws -> Void) throws -> Void) throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        var agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        let port = try connect.waitForTunnel()
        agent.send(SIGKILL)
        try agent.wait()
        try connect.errors.waitForLine(containing: "Agent not found: db")
        try body(port) { agent = try site.registeredAgent(at: relay.address, target: echo.address) }
    }
}

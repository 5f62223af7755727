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
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        let port = try connect.waitForTunnel()

        agent.send(SIGKILL)
        try agent.wait()
        try connect.errors.waitForLine(containing: "Agent not found: db")
        let connection = try Connection(to: port)
        try connection.send("early")
        let back = try site.registeredAgent(at: relay.address, target: echo.address)
        #expect(try connection.receive(exactly: 5) == Array("early".utf8))
        #expect(echo.connections == 1)
        withExtendedLifetime(back) {}
    }

    @Test func `holds what fits into its sockets' buffers, and loses none of it`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        let port = try connect.waitForTunnel()
        agent.send(SIGKILL)
        try agent.wait()
        try connect.errors.waitForLine(containing: "Agent not found: db")

        let connection = try Connection(to: port)
        let sent = try connection.sendUntilFull(limit: 64 << 20)
        // Linux lets a socket's two buffers grow to 4 and 6 MiB; connect adds nothing to that.
        #expect(sent < 16 << 20)
        let back = try site.registeredAgent(at: relay.address, target: echo.address)
        #expect(try connection.receive(exactly: sent).allSatisfy { $0 == 0 })
        withExtendedLifetime(back) {}
    }
}

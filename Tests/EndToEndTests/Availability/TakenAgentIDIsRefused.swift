import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `an agent ID that is in use` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `is refused to another key, and free once its holder has gone`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let holder = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address)
        let port = try connect.waitForTunnel()
        let other = try CountedEcho()
        let rival = try site.agent(at: relay.address, target: other.address, state: "rival")
        let reason = "the agent ID db is registered with another key"
        try rival.errors.waitForLine(containing: "Disconnected: \(reason); trying again in ", occurrence: 2)
        try relay.process.errors.waitForLine(containing: "Agent refused: agent-id=db, ip=127.0.0.1, reason=")
        #expect(try Connection(to: port).echoes("still the holder's"))
        #expect(echo.connections == 1 && other.connections == 0)

        holder.send(SIGTERM)
        #expect(try holder.wait() == .exited(0))
        try rival.waitUntilRegistered()
        // connect knows the holder's key, so the rival gets the ID and not the client.
        #expect(try connect.wait() == .exited(77))
        #expect(other.connections == 0)
    }
}

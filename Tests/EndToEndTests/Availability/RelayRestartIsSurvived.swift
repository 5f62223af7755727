import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a relay that is killed and started again` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `has its peers back without anybody's help`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("before"))

        relay.process.send(SIGKILL)
        try relay.process.wait()
        for peer in [agent, connect] { try peer.errors.waitForLine(containing: "Disconnected: ") }
        let again = try site.relay(listen: relay.address)
        let keys = (before: try relay.key(), after: try again.key())
        #expect(keys.before == keys.after)
        try agent.output.waitForLine(containing: "Connected to relay: ", occurrence: 2)
        #expect(try Connection(to: connect.waitForTunnel(occurrence: 2)).echoes("after"))
        #expect(agent.end == nil && connect.end == nil)
    }
}

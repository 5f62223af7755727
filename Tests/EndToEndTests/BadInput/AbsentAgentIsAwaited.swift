import TestSupport
import Testing

@Suite(.serialized) struct `an agent that is not there` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    @Test func `is waited for by connect, which works once it comes`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let connect = try site.connect(at: relay.address)
        for time in 1...2 {
            try connect.errors.waitForLine(containing: "Agent not found: db; trying again in ", occurrence: time)
            try relay.process.errors.waitForLine(containing: "Agent not found: db", occurrence: time)
        }
        let echo = try CountedEcho()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("found"))
        #expect(connect.end == nil)
        withExtendedLifetime(agent) {}
    }

    @Test func `ends connect, if that was told to`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let connect = try site.connect(at: relay.address, options: ["--exit-on-failure"])
        #expect(try connect.wait() == .exited(69))
        #expect(connect.errors.lines.contains("adit: agent not found: db"))
        try relay.process.errors.waitForLine(containing: "Agent not found: db")
    }
}

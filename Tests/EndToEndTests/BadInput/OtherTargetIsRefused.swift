import TestSupport
import Testing

@Suite(.serialized) struct `a target that is not the agent's` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    @Test func `is refused to a client`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let echo = try CountedEcho()
        let other = try CountedEcho()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address, options: ["--remote-address", other.address])
        #expect(try connect.wait() == .exited(77))
        #expect(connect.errors.lines.last == "adit: this agent forwards to \(echo.address), not to \(other.address)")
        #expect(other.connections == 0)

        let same = try site.connect(at: relay.address, options: ["--remote-address", echo.address])
        #expect(try Connection(to: same.waitForTunnel()).echoes("its own target"))
        withExtendedLifetime(agent) {}
    }

    @Test(arguments: [
        "192.0.2.1:80", "example.com:80", "0.0.0.0:80", "[::]:80", "[::ffff:192.0.2.1]:80", "128.0.0.1:80",
    ])
    func `is taken by no agent when it is not on its own machine`(target: String) throws {
        let agent = try site.agent(at: "127.0.0.1:1", target: target)
        #expect(try agent.wait() == .exited(64))
        let line = try #require(agent.errors.lines.first)
        #expect(line.contains("--target-address"))
        #expect(line.contains(target))
    }
}

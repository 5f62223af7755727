import TestSupport
import Testing

@Suite(.serialized) struct `a client whose key is not in the agent's file` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `is refused, and both ends say so`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let clients = try site.directory.write("# nobody yet\n", to: "clients")
        let agent = try site.registeredAgent(
            at: relay.address, target: echo.address, options: ["--authorized-clients", clients])
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        #expect(try connect.wait() == .exited(77))
        let key = try site.run(["key", "show", "--state-dir", site.path("connect")]).output.split(separator: "\n")[0]
        let line = try #require(connect.errors.lines.last { $0.hasPrefix("adit: ") })
        #expect(line == "adit: agent db does not accept this machine's key \(key): it is not authorized there")
        let refusal = try agent.errors.waitForLine(containing: "is not in the file of authorized clients")
        #expect(refusal.contains("the key \(key) "))
        #expect(echo.connections == 0)

        try site.directory.write("\(key) laptop\n", to: "clients")
        let again = try site.connect(at: relay.address)
        #expect(try Connection(to: again.waitForTunnel()).echoes("authorized now"))
    }
}

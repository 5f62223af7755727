import TestSupport
import Testing

@Suite struct `the connection string that an agent prints` {
    @Test func `leads connect to that agent, by that key`() throws {
        let site = try Site()
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let echo = try CountedEcho()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let line = try agent.output.waitForLine(containing: "Connection string: ")
        let printed = try #require(line.split(separator: " ").last)
        #expect(printed == "adit://\(relay.address)/db#\(try key(ofAgent: agent))")

        let arguments = [
            "connect", String(printed), "--strict", "--relay-key", try relay.key(), "--local-address", "127.0.0.1:0",
            "--token-file", try site.token(subject: "laptop", role: "client", agents: ["db"]), "--state-dir",
            site.path("connect"),
        ]
        let connect = try Process(aditBinary(), arguments, environment: ["HOME": site.directory.path])
        #expect(try Connection(to: connect.waitForTunnel()).echoes("by string"))
    }
}

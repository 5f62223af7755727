import TestSupport
import Testing

@Suite(.serialized) struct `a key other than the pinned one` {
    /// Of the right form, and nobody's.
    private static let nobody = "SHA256:" + String(repeating: "A", count: 43)

    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    @Test func `of a relay is refused, and the pinned one is not`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let wrong = ["--relay-key", Self.nobody]
        for peer in [
            try site.agent(at: relay.address, target: echo.address, options: wrong),
            try site.connect(at: relay.address, options: wrong),
        ] {
            #expect(try peer.wait() == .exited(77))
            #expect(
                peer.errors.lines.filter { !$0.contains(" info  Sandbox ") } == [
                    "adit: the key of relay \(relay.address) is \(try relay.key()), expected \(Self.nobody)"
                ])
        }
        let right = ["--relay-key", try relay.key()]
        _ = try site.registeredAgent(at: relay.address, target: echo.address, options: right)
    }

    @Test func `of an agent is refused, and the pinned one is not`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address, options: ["--agent-key", Self.nobody])
        #expect(try connect.wait() == .exited(77))
        let line = try #require(connect.errors.lines.last)
        #expect(line == "adit: the key of agent db is \(try key(ofAgent: agent)), expected \(Self.nobody)")

        let right = try site.connect(at: relay.address, options: ["--agent-key", try key(ofAgent: agent)])
        #expect(try Connection(to: right.waitForTunnel()).echoes("the right key"))
        #expect(echo.connections == 1)
    }
}

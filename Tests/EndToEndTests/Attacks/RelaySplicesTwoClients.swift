import TestSupport
import Testing

/// Two clients of one relay, each of whom trusts the agent and is trusted by it.
@Suite(.serialized) struct `a malicious relay that splices two clients` {
    private let site: Site
    private let relay: MaliciousRelay
    private let echo: RecordingEcho
    private let agent: Process

    init() throws {
        site = try Site()
        relay = try MaliciousRelay()
        echo = try RecordingEcho()
        agent = try site.registeredAgent(at: relay.address, target: echo.address)
    }

    @Test(arguments: Direction.allCases)
    func `by moving one's records into the other's session ends that session, and delivers none of them`(
        direction: Direction
    ) throws {
        let alice = try site.connect(at: relay.address, state: "alice")
        let first = try Connection(to: alice.waitForTunnel())
        #expect(try first.echoes("alice's"))
        let bob = try site.connect(at: relay.address, state: "bob")
        let second = try Connection(to: bob.waitForTunnel())
        #expect(try second.echoes("bob's"))

        let (hers, his) = (try relay.awaitSplice(1), try relay.awaitSplice(2))
        his.tap(direction).divert { hers.send($0, direction) }
        try second.send("a secret of bob's")
        let victim = direction == .toAgent ? agent : alice
        let line = try victim.errors.waitForLine(containing: RelayedTunnel.lineOfEnd(at: direction))
        #expect(line.contains("the peer broke the protocol: decryption failed or bad record mac"))
        let end = try first.receiveToAnyEnd()
        #expect(end.wasReset)
        #expect(end.bytes.isEmpty)
        #expect(try echo.awaitEnd(of: 1).bytes == Array("alice's".utf8))
    }

    /// Each has asked for the agent, and each gets the other.
    @Test func `with each other gives neither a session`() throws {
        let waiting = Monitor<[(line: FrameLine, stream: UInt32)]>([])
        relay.behave {
            $0.onRequest = { _, client, stream, _ in
                let pair = waiting.change { waiting in
                    waiting.append((client, stream))
                    return waiting.count % 2 == 0 ? Array(waiting.suffix(2)) : []
                }
                for (one, other) in zip(pair, pair.reversed()) {
                    one.line.listen({ frame in
                        guard frame.isData(on: one.stream) else { return }
                        try? other.line.send(.data(frame.payload, on: other.stream))
                    })
                }
                for one in pair {
                    try one.line.send(.data(message(#"{"accepted":{}}"#), on: one.stream, flags: Frame.ack))
                }
            }
        }
        let clients = try ["alice", "bob"].map { try site.connect(at: relay.address, state: $0) }
        for client in clients {
            try client.errors.waitForLine(containing: "Disconnected: TLS handshake failed: ")
            #expect(!client.output.text.contains("Tunnel ready"))
        }
        #expect(echo.visits.isEmpty)
    }
}

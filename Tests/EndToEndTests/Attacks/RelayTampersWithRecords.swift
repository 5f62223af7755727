import TestSupport
import Testing

@Suite(.serialized) struct `a malicious relay that tampers with records` {
    /// What OpenSSL calls it.
    private static let reasons = ["decryption failed or bad record mac", "bad record type"]

    @Test(arguments: Direction.allCases, Tampering.allCases)
    func `is found out, and nothing is delivered but what was said`(
        direction: Direction, tampering: Tampering
    ) throws {
        let tunnel = try RelayedTunnel()
        let user = try Connection(to: tunnel.port)
        #expect(try user.echoes("one"))
        let tap = try tunnel.relay.awaitSplice().tap(direction)
        tap.arm(tampering)
        try user.send("two")
        #expect(eventually { tap.hasActed })
        // What was left out or held back shows with the next record.
        var wasReset = false
        do { try user.send("three") } catch { wasReset = true }

        let line = try tunnel.victim(of: direction).errors.waitForLine(
            containing: RelayedTunnel.lineOfEnd(at: direction))
        #expect(Self.reasons.contains { line.contains("the peer broke the protocol: \($0)") })
        let end = try user.receiveToAnyEnd()
        // A reset is told once: by the call that comes first.
        #expect(wasReset || end.wasReset)
        #expect(Array("twothree".utf8).starts(with: end.bytes))
        let visit = try tunnel.echo.awaitEnd()
        #expect(visit.end == .reset)
        #expect(Array("onetwothree".utf8).starts(with: visit.bytes))
        #expect(tunnel.echo.visits.count == 1)
    }
}

/// How a relay may end a tunnel in the middle of it.
enum Cut: CaseIterable, Sendable {
    case finishedTowardTheAgent, finishedTowardTheClient, finishedBothWays, reset
}

@Suite(.serialized) struct `a malicious relay that cuts a tunnel short` {
    @Test(arguments: Cut.allCases)
    func `gives neither end a clean end of what was being said`(cut: Cut) throws {
        let tunnel = try RelayedTunnel()
        let user = try Connection(to: tunnel.port)
        #expect(try user.echoes("one"))
        let splice = try tunnel.relay.awaitSplice()
        switch cut {
        case .finishedTowardTheAgent:
            try splice.agent.send(.update(splice.agentStream, flags: Frame.fin))
        case .finishedTowardTheClient:
            try splice.client.send(.update(splice.clientStream, flags: Frame.fin))
        case .finishedBothWays: splice.end(Frame.fin)
        case .reset: splice.end(Frame.reset)
        }
        #expect(try user.receiveToAnyEnd().wasReset)
        #expect(try tunnel.echo.awaitEnd().end == .reset)
        try tunnel.agent.errors.waitForLine(
            containing: "Session ended: client-id=laptop, reason=connection lost: ")
        try tunnel.connect.errors.waitForLine(containing: "Disconnected: connection lost: ")
    }
}

import Synchronization
import TLSEngine
import TestSupport
import Testing

/// Why connect knows better.
enum AgentTrust: CaseIterable, Sendable {
    case pinned, remembered, strict
}

@Suite(.serialized) struct `a malicious relay that poses as the agent` {
    private static let said = "what the user says"

    /// Ends the user's end-to-end TLS itself, with a key of its own.
    private static func posing(_ lines: Monitor<[FrameLine]>) -> MaliciousRelay.Request {
        { relay, client, stream, _ in
            let session = try client.session(on: stream, role: .server, identity: relay.identity)
            lines.change { $0.append(session) }
            try client.send(.data(message(#"{"accepted":{}}"#), on: stream, flags: Frame.ack))
        }
    }

    @Test(arguments: AgentTrust.allCases)
    func `with a key of its own is refused, and hears nothing`(trust: AgentTrust) throws {
        let (site, relay, echo) = (try Site(), try MaliciousRelay(), try RecordingEcho())
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let key = try key(ofAgent: agent)
        var options: [String] = []
        switch trust {
        case .pinned: options = ["--agent-key", key]
        case .remembered: try site.connect(at: relay.address).waitForTunnel()
        case .strict: options = ["--strict", "--relay-key", relay.identity.fingerprint.description]
        }

        let lines = Monitor<[FrameLine]>([])
        relay.behave { $0.onRequest = Self.posing(lines) }
        let connect = try site.connect(at: relay.address, options: options)
        #expect(try connect.wait() == .exited(77))
        let line = try #require(connect.errors.lines.last { $0.hasPrefix("adit: the key of agent db ") })
        #expect(line.contains("\(relay.identity.fingerprint)"))
        if trust != .strict { #expect(line.contains(key)) }
        for session in lines.change({ $0 }) {
            #expect(try session.awaitEnd().contains("bad certificate"))
            #expect(!session.isEstablished)
            #expect(session.frames.isEmpty)
        }
        #expect(!lines.change { $0 }.isEmpty)
        #expect(echo.visits.isEmpty)
    }

    /// The session key has gone to another agent: one that is as real, and of the same relay.
    @Test(arguments: [AgentTrust.pinned, .remembered])
    func `by handing the client to another agent is refused, and that one's target is not reached`(
        trust: AgentTrust
    ) throws {
        let (site, relay) = (try Site(), try MaliciousRelay())
        let (right, wrong) = (try RecordingEcho(), try RecordingEcho())
        let agent = try site.registeredAgent(at: relay.address, target: right.address)
        let other = try site.registeredAgent("web", at: relay.address, target: wrong.address, state: "other-agent")
        let options = trust == .pinned ? ["--agent-key", try key(ofAgent: agent)] : []
        if trust == .remembered { try site.connect(at: relay.address).waitForTunnel() }

        relay.behave { $0.route = { _ in "web" } }
        let connect = try site.connect(at: relay.address, options: options)
        #expect(try connect.wait() == .exited(77))
        let line = try #require(connect.errors.lines.last { $0.hasPrefix("adit: the key of agent db ") })
        #expect(line.contains(try key(ofAgent: other)))
        #expect(line.contains(try key(ofAgent: agent)))
        try other.errors.waitForLine(containing: "Session ended: client-id=laptop, reason=")
        #expect(wrong.visits.isEmpty)
    }
}

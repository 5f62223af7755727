import TLSEngine
import TestSupport
import Testing

/// What an agent does with a tunnel that it is offered, before any session.
enum AgentCrime: CaseIterable, Sendable {
    case answersNoJSON, answersTooMuch, answersNothingKnown, blamesTheToken, resets, finishes, answersWithGarbageBehind
    case refusesOddly

    func act(_ agent: FrameLine, _ stream: UInt32) throws {
        let accepted = message(#"{"accepted":{}}"#)
        switch self {
        case .answersNoJSON: try agent.send(.data(message("yes"), on: stream, flags: Frame.ack))
        case .answersTooMuch: try agent.send(.data([0xff, 0xff, 0x20], on: stream, flags: Frame.ack))
        case .answersNothingKnown: try agent.send(.data(message("{}"), on: stream, flags: Frame.ack))
        case .blamesTheToken:
            try agent.send(
                .data(
                    message(#"{"refused":{"code":"token_revoked","message":"go away for good"}}"#), on: stream,
                    flags: Frame.ack))
        case .resets: try agent.send(.update(stream, flags: Frame.reset))
        case .finishes: try agent.send(.update(stream, flags: Frame.ack | Frame.fin))
        case .answersWithGarbageBehind:
            try agent.send(.data(accepted + Array(repeating: 0x41, count: 5000), on: stream, flags: Frame.ack))
        case .refusesOddly:
            try agent.send(
                .data(
                    message(#"{"refused":{"code":"draining","message":"\u001b[31mx\ny"}}"#), on: stream,
                    flags: Frame.ack))
        }
    }

    /// In connect's line about the attempt.
    var reason: String {
        switch self {
        case .answersNoJSON, .answersNothingKnown: "malformed message"
        case .answersTooMuch: "message of 65535 bytes"
        case .blamesTheToken: "Disconnected: go away for good"
        case .resets: "tunnel: reset by the peer"
        case .finishes: "tunnel: the stream ended before its header"
        case .answersWithGarbageBehind: "TLS handshake failed"
        case .refusesOddly: "Disconnected: "
        }
    }
}

/// What an agent does on its link to the relay.
enum AgentLinkCrime: CaseIterable, Sendable {
    case opensATunnel, floodsAClient, overflowsCredit, grantsEverything, repeatsItsHello, floodsWithPings, resetsFlood
}

/// What an agent does in a session that it has welcomed; stream 3 is connect's first forward.
enum AgentSessionCrime: CaseIterable, Sendable {
    case answersNoJSON, answersTwice, opensAStream, sendsBeyondTheWindow, breaksTheProtocol, refusesOddly, resets
    case speaksOnTheControlStream

    func act(_ session: FrameLine) throws {
        let accepted = Frame.data(message(#"{"accepted":{}}"#), on: 3, flags: Frame.ack)
        switch self {
        case .answersNoJSON: try session.send(.data(message("yes"), on: 3, flags: Frame.ack))
        // The second answer is data: the user's business, and not adit's.
        case .answersTwice: try session.send(accepted, accepted, .update(3, flags: Frame.reset))
        case .opensAStream: try session.send(accepted, .update(2, flags: Frame.syn), .update(3, flags: Frame.reset))
        case .sendsBeyondTheWindow: try session.send(accepted, Frame(type: Frame.data, stream: 3, length: 300_000))
        case .breaksTheProtocol: try session.send(accepted, Frame(type: 9, stream: 3, length: 0))
        case .refusesOddly:
            try session.send(
                .data(
                    message(#"{"refused":{"code":"target_refused","message":"\u001b]0;x\u0007y"}}"#), on: 3,
                    flags: Frame.ack))
        case .resets: try session.send(.update(3, flags: Frame.reset))
        case .speaksOnTheControlStream: try session.send(.data(message("{}"), on: 1))
        }
    }
}

@Suite(.serialized) struct `a hostile agent` {
    private let scene: HonestScene
    private let identity: Identity

    init() throws {
        scene = try HonestScene()
        identity = try Identity.generate(commonName: "evil")
    }

    /// A connect whose tunnel to the agent `evil` each time ends as `act` says.
    private func connect(_ act: @escaping @Sendable (FrameLine, UInt32) throws -> Void) throws -> (FrameLine, Process) {
        let agent = try FrameLine.agent("evil", at: scene.relay, in: scene.site, identity: identity)
        agent.listen({ frame in
            guard frame.isData(on: frame.stream), frame.stream > 1,
                String(decoding: frame.payload.prefix(18), as: UTF8.self).contains("client_address")
            else { return }
            try? agent.send(.update(frame.stream, flags: Frame.ack, credit: frame.length))
            try? act(agent, frame.stream)
        })
        return (agent, try scene.site.connect(to: "evil", at: scene.relay.address))
    }

    @Test(arguments: AgentCrime.allCases)
    func `that answers a tunnel as it should not is told apart, and tried again`(crime: AgentCrime) throws {
        let (agent, connect) = try connect { try crime.act($0, $1) }
        let line = try connect.errors.waitForLine(containing: crime.reason)
        #expect(line.utf8.allSatisfy { $0 >= 32 && $0 != 127 })
        // Nothing that an agent says ends connect for good.
        try connect.errors.waitForLine(containing: "; trying again in ", occurrence: 2)
        #expect(connect.end == nil)
        #expect(agent.end == nil)
        try scene.honest.check()
    }

    @Test func `that never answers is given up on after 10 s, and tried again`() throws {
        let (_, connect) = try connect { _, _ in }
        try connect.errors.waitForLine(containing: "the agent did not answer within 10 s; trying again in ")
        #expect(connect.end == nil)
        try scene.honest.check()
    }

    @Test(arguments: AgentLinkCrime.allCases)
    func `that attacks the relay costs itself, and nobody else notices`(crime: AgentLinkCrime) throws {
        let (agent, connect) = try connect { agent, stream in
            try agent.send(.data(message(#"{"accepted":{}}"#), on: stream, flags: Frame.ack))
        }
        try scene.relay.process.errors.waitForLine(containing: "Tunnel opened: client-id=laptop, agent-id=evil")
        try scene.relay.process.stays(within: 48 << 20) {
            switch crime {
            case .opensATunnel:
                try agent.send(.data(message(#"{"agent_id":"honest"}"#), on: 3, flags: Frame.syn))
                try agent.awaitFrame("a reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
            case .floodsAClient:
                try agent.send(.data(Array(repeating: 22, count: 400_000), on: 2))
                try agent.awaitFrame("a reset") { $0.stream == 2 && $0.flags & Frame.reset != 0 }
                try connect.errors.waitForLine(containing: "Disconnected: ")
            case .overflowsCredit:
                try agent.send(.update(2, credit: .max), .update(2, credit: .max))
                try agent.awaitEnd()
                try scene.relay.process.errors.waitForLine(containing: "credit overflow on stream 2")
            case .grantsEverything:
                try agent.send(.update(2, credit: .max - 300_000))
            case .repeatsItsHello:
                try agent.send(.data(message(#"{"version":1}"#), on: 1))
                try agent.awaitEnd()
                try scene.relay.process.errors.waitForLine(
                    containing: "Agent disconnected: agent-id=evil, ip=127.0.0.1, reason=malformed message: Renewal")
            case .floodsWithPings:
                for number in 0..<100 { agent.flood(with: LinkFlood.pings.chunk(number), times: 1) }
            case .resetsFlood:
                agent.flood(with: (0..<1000).flatMap { _ in Frame.update(2, flags: Frame.reset).bytes }, times: 100)
            }
            try scene.honest.check()
        }
        agent.drop()
        try scene.relay.process.errors.waitForLine(containing: "Agent disconnected: agent-id=evil, ")
        try scene.honest.check()
    }

    @Test(arguments: AgentSessionCrime.allCases)
    func `that misuses a session ends the forward or the session, and connect lives`(
        crime: AgentSessionCrime
    ) throws {
        let (_, connect) = try connect { [identity] agent, stream in
            let session = try agent.session(on: stream, role: .server, identity: identity)
            session.listen({ frame in
                if frame.isData(on: 1) {
                    try? session.send(
                        .data(message(#"{"accepted":{"target":"localhost:1"}}"#), on: 1, flags: Frame.ack))
                } else if frame.isData(on: 3) {
                    try? crime.act(session)
                }
            })
            try agent.send(.data(message(#"{"accepted":{}}"#), on: stream, flags: Frame.ack))
        }
        // Who says nothing: the agent may have acted before a first word.
        let user = try Connection(to: connect.waitForTunnel())
        let end = try user.receiveToAnyEnd()
        #expect(end.wasReset)
        // A reset may overtake what was said before it.
        #expect((crime == .answersTwice ? message(#"{"accepted":{}}"#) : []).starts(with: end.bytes))
        switch crime {
        case .answersNoJSON: try connect.errors.waitForLine(containing: "Forward failed: reason=malformed message")
        case .refusesOddly:
            let line = try connect.errors.waitForLine(containing: "Forward refused by the agent: reason=")
            #expect(line.utf8.allSatisfy { $0 >= 32 && $0 != 127 })
        case .breaksTheProtocol: try connect.errors.waitForLine(containing: "unknown frame type 9")
        case .speaksOnTheControlStream:
            try connect.errors.waitForLine(containing: "unexpected message on the session's control stream")
        case .answersTwice, .opensAStream, .sendsBeyondTheWindow, .resets: break
        }
        #expect(connect.end == nil)
        try scene.honest.check()
    }
}

import TestSupport
import Testing

/// What ends the link of a client that the relay has let in, and has a tunnel as stream 3.
enum ClientCrime: CaseIterable, Sendable {
    case reusedStreamID, streamIDsOutOfOrder, evenStreamID, streamZero, neverOpened, answerToNothing
    case creditOverflow, creditOverflowOnTheTunnel, pingOnAStream, pingWithFIN, goAwayOnAStream, unknownGoAway
    case internalError, secondHello, endOfTheControlStream, resetOfTheControlStream, unknownType

    var frames: [Frame] {
        switch self {
        case .reusedStreamID: [.update(3, flags: Frame.syn)]
        case .streamIDsOutOfOrder: [.update(9, flags: Frame.syn), .update(7, flags: Frame.syn)]
        case .evenStreamID: [.update(4, flags: Frame.syn)]
        case .streamZero: [.update(0, flags: Frame.syn)]
        case .neverOpened: [.data([1], on: 11)]
        case .answerToNothing: [.update(2, flags: Frame.ack)]
        case .creditOverflow: [.update(1, credit: .max), .update(1, credit: .max)]
        case .creditOverflowOnTheTunnel: [.update(3, credit: .max), .update(3, credit: .max)]
        case .pingOnAStream: [Frame(type: Frame.ping, flags: Frame.syn, stream: 3, length: 0)]
        case .pingWithFIN: [Frame(type: Frame.ping, flags: Frame.fin, stream: 0, length: 0)]
        case .goAwayOnAStream: [Frame(type: Frame.goAway, stream: 3, length: 0)]
        case .unknownGoAway: [Frame(type: Frame.goAway, stream: 0, length: 3)]
        case .internalError: [Frame(type: Frame.goAway, stream: 0, length: 2)]
        case .secondHello: [.data(message(#"{"version":1}"#), on: 1)]
        case .endOfTheControlStream: [.update(1, flags: Frame.fin)]
        case .resetOfTheControlStream: [.update(1, flags: Frame.reset)]
        case .unknownType: [Frame(type: 200, stream: 3, length: 0)]
        }
    }

    /// In the relay's line about the end.
    var reason: String {
        switch self {
        case .reusedStreamID: "stream ID 3 was used before"
        case .streamIDsOutOfOrder: "stream ID 7 was used before"
        case .evenStreamID: "stream ID 4 cannot be opened by this peer"
        case .streamZero: "stream ID 0 cannot be opened by this peer"
        case .neverOpened: "frame for stream 11, which was never opened"
        case .answerToNothing: "frame for stream 2, which was never opened"
        case .creditOverflow: "credit overflow on stream 1"
        case .creditOverflowOnTheTunnel: "credit overflow on stream 3"
        case .pingOnAStream, .pingWithFIN: "malformed ping frame"
        case .goAwayOnAStream: "malformed goAway frame"
        case .unknownGoAway: "unknown go-away code 3"
        case .internalError: "the peer ended the connection: internalError"
        case .secondHello: "Renewal lacks token"
        case .endOfTheControlStream: "the control stream was closed"
        case .resetOfTheControlStream: "control stream: reset by the peer"
        case .unknownType: "unknown frame type 200"
        }
    }
}

/// What ends a tunnel, and leaves the link.
enum TunnelCrime: CaseIterable, Sendable {
    case dataBeyondTheWindow, dataAfterTheEnd, dataBeforeTheAnswer

    func frames(on stream: UInt32) -> [Frame] {
        // The agent takes a record of this length for the beginning of a handshake, and waits for the rest of it.
        let record: [UInt8] = [22, 3, 3, 0x40, 0]
        return switch self {
        case .dataBeyondTheWindow: [.data(record + Array(repeating: 1, count: 500_000), on: stream)]
        case .dataAfterTheEnd: [.data(record, on: stream, flags: Frame.fin), .data([1], on: stream)]
        case .dataBeforeTheAnswer:
            [.data(message(#"{"agent_id":"honest"}"#) + record, on: stream, flags: Frame.syn)]
        }
    }
}

@Suite(.serialized) struct `a hostile client that breaks the protocol` {
    private let scene: HonestScene

    init() throws {
        scene = try HonestScene()
    }

    @Test(arguments: ClientCrime.allCases)
    func `loses its link and its tunnels, and nobody else notices`(crime: ClientCrime) throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        try client.openTunnel()
        try client.send(plaintext: crime.frames.flatMap(\.bytes))
        try client.awaitEnd()
        let line = try scene.relay.process.errors.waitForLine(containing: "Client disconnected: client-id=attacker, ")
        #expect(line.contains(crime.reason))
        try scene.relay.process.errors.waitForLine(containing: "Tunnel closed: client-id=attacker, agent-id=honest")
        try scene.honest.agent.errors.waitForLine(containing: "Session ended: client-id=attacker, ")
        try scene.honest.check()
    }

    @Test(arguments: TunnelCrime.allCases)
    func `on a tunnel loses that tunnel, and nobody else notices`(crime: TunnelCrime) throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        if crime != .dataBeforeTheAnswer { try client.openTunnel() }
        try client.send(plaintext: crime.frames(on: 3).flatMap(\.bytes))
        try client.awaitFrame("the tunnel's reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
        try scene.relay.process.errors.waitForLine(containing: "Tunnel closed: client-id=attacker, agent-id=honest")
        try client.openTunnel(on: 5)
        try scene.honest.check()
    }

    @Test func `by opening streams after its go-away has them reset, and keeps what it had`() throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        let session = try client.openSession()
        try client.send(
            Frame(type: Frame.goAway, stream: 0, length: 0),
            .data(message(#"{"agent_id":"honest"}"#), on: 5, flags: Frame.syn))
        try client.awaitFrame("a reset") { $0.stream == 5 && $0.flags & Frame.reset != 0 }
        try session.send(.ping(77))
        try session.awaitFrame("an answer through the old tunnel") { $0.type == Frame.ping && $0.length == 77 }
        try scene.honest.check()
    }

    @Test func `by asking for more tunnels than a client may have is refused the rest, and keeps those`() throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        for stream in 1...300 {
            try client.send(
                .data(message(#"{"agent_id":"honest"}"#), on: UInt32(1 + 2 * stream), flags: Frame.syn))
        }
        let answer = try client.awaitFrame("a refusal", within: .seconds(10)) { frame in
            frame.type == Frame.data && String(decoding: frame.payload, as: UTF8.self).contains("limit_exceeded")
        }
        #expect(answer.stream > 100)
        try client.awaitAnswer(on: 3)
        try scene.honest.check()
    }
}

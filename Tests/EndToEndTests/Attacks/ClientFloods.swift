import TestSupport
import Testing

/// What a client with a valid token sends again and again.
enum LinkFlood: CaseIterable, Sendable {
    case pings, pongs, emptyUpdates, emptyData, smallCredit, rapidResets, openedStreams, resetsOfNothing
    case requestsForNobody, malformedRequests, halfRequests

    private static let frames = 1000

    /// The nth thousand of frames; streams are opened in order.
    func chunk(_ number: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in number * Self.frames..<(number + 1) * Self.frames {
            for frame in frames(UInt32(5 + 2 * index)) { bytes += frame.bytes }
        }
        return bytes
    }

    private func frames(_ stream: UInt32) -> [Frame] {
        switch self {
        case .pings: [.ping(stream)]
        case .pongs: [Frame(type: Frame.ping, flags: Frame.ack, stream: 0, length: stream)]
        // Of the tunnel's stream, to whose agent the relay passes credit on.
        case .emptyUpdates: [.update(3)]
        case .emptyData: [.data([], on: 3)]
        case .smallCredit: [.update(3, credit: 1)]
        case .rapidResets: [.update(stream, flags: Frame.syn), .update(stream, flags: Frame.reset)]
        case .openedStreams: [.update(stream, flags: Frame.syn)]
        case .resetsOfNothing: [.update(stream, flags: Frame.syn | Frame.reset), .update(stream, flags: Frame.reset)]
        case .requestsForNobody: [.data(message(#"{"agent_id":"honest-"}"#), on: stream, flags: Frame.syn)]
        case .malformedRequests: [.data(message("{"), on: stream, flags: Frame.syn)]
        case .halfRequests: [.data([0x40, 0] + Array(repeating: 32, count: 1000), on: stream, flags: Frame.syn)]
        }
    }
}

@Suite(.serialized) struct `a hostile client that floods the relay` {
    private static let growth = 32 << 20

    private let scene: HonestScene

    init() throws {
        scene = try HonestScene()
    }

    /// Whether the flood is cut off or borne to its end, none of it may be left.
    @Test(arguments: LinkFlood.allCases)
    func `costs it bounded memory, and nobody else notices`(flood: LinkFlood) throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        try client.openTunnel()
        try scene.relay.process.stays(within: Self.growth) {
            for number in 0..<100 {
                do { try client.send(plaintext: flood.chunk(number)) } catch { break }
            }
            try scene.honest.check()
        }
        client.drop()
        try scene.relay.process.errors.waitForLine(containing: "Client disconnected: client-id=attacker, ")
        try scene.honest.check()
    }

    /// What it asks for has to go somewhere: the relay holds a bounded part of it, and then ends the link.
    @Test(arguments: [LinkFlood.pings, .requestsForNobody, .malformedRequests])
    func `with questions and reads no answers is cut off`(flood: LinkFlood) throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site, receiveBuffer: 4096)
        try client.openTunnel()
        client.pauseReading()
        let sending = Background {
            for number in 0..<100_000 { try client.send(plaintext: flood.chunk(number)) }
        }
        try scene.relay.process.stays(within: Self.growth) {
            let line = try scene.relay.process.errors.waitForLine(
                containing: "Client disconnected: client-id=attacker, ")
            // Pings come faster than the relay allows, or pile up unread before that shows.
            #expect(
                line.contains("it does not read what it asks for")
                    || flood == .pings && line.contains("too many control frames a second"))
        }
        client.drop()
        withExtendedLifetime(sending) {}
        try scene.honest.check()
    }

    /// A window is held for each tunnel of a client that reads nothing, and for all of them no more than this.
    @Test func `with credit on many tunnels and reads nothing is cut off at a bounded backlog`() throws {
        let service = try Service { connection in
            while true { try connection.send(Array(repeating: 7, count: 1 << 20)) }
        }
        let agent = try scene.site.registeredAgent(
            "sender", at: scene.relay.address, target: "127.0.0.1:\(service.port)", state: "sender-agent")
        let client = try FrameLine.client(of: ["sender"], at: scene.relay, in: scene.site, receiveBuffer: 4096)
        let streams = (0..<6).map { UInt32(3 + 2 * $0) }
        try scene.relay.process.stays(within: 80 << 20) {
            let sessions = try streams.map { try client.openSession(to: "sender", on: $0) }
            for stream in streams { try client.send(.update(stream, credit: .max - (80 << 20))) }
            client.pauseReading()
            try agent.stays(within: 80 << 20) {
                for session in sessions {
                    try session.send(
                        .data(message(#"{"target":"127.0.0.1:\#(service.port)"}"#), on: 3, flags: Frame.syn),
                        .update(3, credit: .max - 300_000))
                }
                let line = try scene.relay.process.errors.waitForLine(
                    containing: "Client disconnected: client-id=attacker, ")
                #expect(line.contains("it does not take what it let others send"))
                try scene.honest.check()
            }
        }
    }
}

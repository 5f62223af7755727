import TestSupport
import Testing

/// What a relay says to a peer that it must not say; the relay is the acceptor, whose stream IDs are even.
enum RelayCrime: CaseIterable, Sendable {
    case unknownType, wrongVersion, unknownFlags, oddStreamID, reusedStreamID, neverOpened, creditOverflow
    case pingOnAStream, unknownGoAway, protocolError, dataOnStreamZero, hugeMessage, garbageNotice, twiceTheSameName
    case endOfTheControlStream, resetOfTheControlStream

    var frames: [Frame] {
        switch self {
        case .unknownType: [Frame(type: 4, stream: 0, length: 0)]
        case .wrongVersion: [Frame(version: 1, type: Frame.ping, flags: Frame.syn, stream: 0, length: 1)]
        case .unknownFlags: [Frame(type: Frame.data, flags: 0x10, stream: 1, length: 0)]
        case .oddStreamID: [.update(101, flags: Frame.syn)]
        case .reusedStreamID: [.update(200, flags: Frame.syn), .update(200, flags: Frame.reset | Frame.syn)]
        case .neverOpened: [.update(300)]
        case .creditOverflow: [.update(1, credit: .max), .update(1, credit: .max)]
        case .pingOnAStream: [Frame(type: Frame.ping, flags: Frame.syn, stream: 1, length: 0)]
        case .unknownGoAway: [Frame(type: Frame.goAway, stream: 0, length: 9)]
        case .protocolError: [Frame(type: Frame.goAway, stream: 0, length: 1)]
        case .dataOnStreamZero: [Frame(type: Frame.data, stream: 0, length: 0)]
        case .hugeMessage: [.data([0xff, 0xff], on: 1)]
        case .garbageNotice: [.data(message("not JSON"), on: 1)]
        case .twiceTheSameName:
            [
                .data(
                    message(
                        #"{"ending":{"code":"replaced","message":"x","code":"draining"}}"#), on: 1)
            ]
        case .endOfTheControlStream: [.update(1, flags: Frame.fin)]
        case .resetOfTheControlStream: [.update(1, flags: Frame.reset)]
        }
    }

    /// In the peer's line about the end.
    var reason: String {
        switch self {
        case .unknownType: "unknown frame type 4"
        case .wrongVersion: "unknown frame version 1"
        case .unknownFlags: "unknown frame flags 16"
        case .oddStreamID: "stream ID 101 cannot be opened by this peer"
        case .reusedStreamID: "stream ID 200 was used before"
        case .neverOpened: "frame for stream 300, which was never opened"
        case .creditOverflow: "credit overflow on stream 1"
        case .pingOnAStream: "malformed ping frame"
        case .unknownGoAway: "unknown go-away code 9"
        case .protocolError: "the peer ended the connection: protocolError"
        case .dataOnStreamZero: "stream ID 0"
        case .hugeMessage: "message of 65535 bytes"
        case .garbageNotice, .twiceTheSameName: "malformed message"
        case .endOfTheControlStream: "the relay ended the control stream"
        case .resetOfTheControlStream: "the relay reset the control stream"
        }
    }
}

@Suite(.serialized) struct `a malicious relay that breaks the protocol` {
    @Test(arguments: RelayCrime.allCases)
    func `loses both peers, who say why and come back`(crime: RelayCrime) throws {
        let tunnel = try RelayedTunnel()
        try tunnel.relay.awaitAgent("db").send(plaintext: crime.frames.flatMap(\.bytes))
        let line = try tunnel.agent.errors.waitForLine(containing: "Disconnected: ")
        #expect(line.contains(crime.reason), "agent")
        try tunnel.relay.awaitClient().send(plaintext: crime.frames.flatMap(\.bytes))
        try tunnel.connect.errors.waitForLine(containing: crime.reason)
        try tunnel.agent.output.waitForLine(containing: "Connected to relay: ", occurrence: 2)
        try tunnel.connect.waitForTunnel(occurrence: 2)
        #expect(try Connection(to: tunnel.port).echoes("back again"))
    }
}

import TestSupport
import Testing

/// What a stranger says once TLS is up, and how the relay must answer.
enum BadSpeech: CaseIterable, Sendable {
    case silence, halfAHello, oversizedMessage, unknownType, wrongVersion, unknownFlags, evenStreamID, neverOpened
    case beyondTheWindow, malformedHello, notAHello, repeatedName, unsupportedVersion

    var frames: [Frame] {
        let opening = { (payload: [UInt8]) in [Frame.data(payload, on: 1, flags: Frame.syn)] }
        return switch self {
        case .silence: []
        case .halfAHello: opening(Array(message(#"{"version":1,"role":"client"}"#).prefix(10)))
        case .oversizedMessage: opening([0xff, 0xff] + Array(repeating: UInt8(ascii: " "), count: 1000))
        case .unknownType: [Frame(type: 4, stream: 0, length: 0)]
        case .wrongVersion: [Frame(version: 1, type: Frame.ping, flags: Frame.syn, stream: 0, length: 1)]
        case .unknownFlags: [Frame(type: Frame.data, flags: 0x8001, stream: 1, length: 0)]
        case .evenStreamID: [Frame(type: Frame.windowUpdate, flags: Frame.syn, stream: 2, length: 0)]
        case .neverOpened: [Frame.data([1], on: 5)]
        // The header is enough. A payload on its way would meet a closed socket, and the go-away be lost with it.
        case .beyondTheWindow: opening([0x40, 0x00]) + [Frame(type: Frame.data, stream: 1, length: 300_000)]
        case .malformedHello: opening(message("{"))
        case .notAHello: opening(message(#"{"agent_id":"db"}"#))
        case .repeatedName:
            opening(message(#"{"version":1,"role":"client","token":"t","role":"agent","software":"test"}"#))
        case .unsupportedVersion:
            opening(message(#"{"version":2,"role":"client","token":"t","software":"test"}"#))
        }
    }

    /// In the relay's log line about the end.
    var reason: String {
        switch self {
        case .silence, .halfAHello: "no hello within"
        case .oversizedMessage: "message of 65535 bytes"
        case .unknownType: "unknown frame type 4"
        case .wrongVersion: "unknown frame version 1"
        case .unknownFlags: "unknown frame flags 32769"
        case .evenStreamID: "stream ID 2 cannot be opened by this peer"
        case .neverOpened: "frame for stream 5, which was never opened"
        case .beyondTheWindow: "data beyond the window"
        case .malformedHello: "malformed message"
        case .notAHello: "Hello lacks"
        case .repeatedName: "Hello has a name twice"
        case .unsupportedVersion: "this relay speaks version 1, not 2"
        }
    }

    /// The go-away's (PROTOCOL §3): 1 says that the peer broke the protocol.
    var goAwayCode: UInt32 {
        switch self {
        case .silence, .halfAHello, .unsupportedVersion: 0
        case .oversizedMessage, .unknownType, .wrongVersion, .unknownFlags, .evenStreamID, .neverOpened,
            .beyondTheWindow, .malformedHello, .notAHello, .repeatedName:
            1
        }
    }

    /// In the refusal on the control stream, where there is one to answer on.
    var refusal: String? {
        switch self {
        case .halfAHello: "hello_timeout"
        case .malformedHello, .notAHello, .repeatedName: "malformed_message"
        case .unsupportedVersion: "unsupported_version"
        case .silence, .oversizedMessage, .unknownType, .wrongVersion, .unknownFlags, .evenStreamID, .neverOpened,
            .beyondTheWindow:
            nil
        }
    }
}

@Suite(.serialized) struct `bad frames and messages` {
    private static let limit = Duration.seconds(10)

    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }

    @Test(arguments: BadSpeech.allCases)
    func `end with a go-away, and nobody else notices`(_ speech: BadSpeech) throws {
        let client = try HostileClient(to: relay, in: site)
        let time = try elapsed {
            for frame in speech.frames { try client.send(frame) }
            try client.process.wait()
        }
        #expect(time < Self.limit)
        let last = try #require(client.received.last, "\(client.process.transcript)")
        #expect(last.type == Frame.goAway)
        #expect(last.length == speech.goAwayCode)
        let answer = client.received.filter { $0.type == Frame.data && $0.stream == 1 }.flatMap(\.payload)
        if let refusal = speech.refusal {
            #expect(String(decoding: answer.dropFirst(2), as: UTF8.self).contains(#""code":"\#(refusal)""#))
        } else {
            #expect(answer.isEmpty)
        }
        let line = try relay.process.errors.waitForLine(containing: "Link ended: ip=127.0.0.1, reason=")
        #expect(line.contains(speech.reason))
        try honest.check()
    }
}

import TestSupport
import Testing

/// What a stranger says once TLS is up, and how the relay must answer.
enum BadSpeech: CaseIterable, Sendable {
    case silence, halfAHello, oversizedMessage, unknownType, wrongVersion, unknownFlags, evenStreamID, neverOpened
    case beyondTheWindow, malformedHello, notAHello, unsupportedVersion

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
        case .unsupportedVersion: "this relay speaks version 1, not 2"
        }
    }

    /// The go-away's (PROTOCOL §3): 1 says that the peer broke the protocol.
    var goAwayCode: UInt32 {
        switch self {
        case .silence, .halfAHello, .unsupportedVersion: 0
        case .oversizedMessage, .unknownType, .wrongVersion, .unknownFlags, .evenStreamID, .neverOpened,
            .beyondTheWindow, .malformedHello, .notAHello:
            1
        }
    }

    /// In the refusal on the control stream, where there is one to answer on.
    var refusal: String? {
        switch self {
        case .halfAHello: "hello_timeout"
        case .malformedHello, .notAHello: "malformed_message"
        case .unsupportedVersion: "unsupported_version"
        case .silence, .oversizedMessage, .unknownType, .wrongVersion, .unknownFlags, .evenStreamID, .neverOpened,
            .beyondTheWindow:
            nil
        }
    }
}

/// A TLS handshake that the relay must break off, and with which alert (RFC 8446 §6).
enum BadHandshake: CaseIterable, Sendable {
    case wrongALPN, noALPN, noCertificate, oldTLS

    func options(in site: Site) throws -> [String] {
        switch self {
        case .wrongALPN: try ["-alpn", "h2"] + HostileClient.certificate(in: site)
        case .noALPN: try HostileClient.certificate(in: site)
        case .noCertificate: ["-alpn", "adit/1"]
        case .oldTLS: try ["-tls1_2", "-alpn", "adit/1"] + HostileClient.certificate(in: site)
        }
    }

    var alert: Int {
        switch self {
        case .wrongALPN, .noALPN: 120  // no_application_protocol
        case .noCertificate: 116  // certificate_required
        case .oldTLS: 70  // protocol_version
        }
    }
}

@Suite("a stranger at the relay's port", .serialized)
struct HostilePeerTests {
    private static let limit = Duration.seconds(10)

    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay("--log-level", "debug")
        honest = try HonestTunnel(in: site, at: relay)
    }

    @Test("bad frames and messages end with a go-away, and nobody else notices", arguments: BadSpeech.allCases)
    func speech(_ speech: BadSpeech) throws {
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

    @Test("a bad handshake ends with an alert, and nobody else notices", arguments: BadHandshake.allCases)
    func handshake(_ handshake: BadHandshake) throws {
        let client = try HostileClient(to: relay, in: site, options: handshake.options(in: site))
        let time = try elapsed { try client.process.wait() }
        #expect(time < Self.limit)
        #expect(client.process.errors.text.contains("SSL alert number \(handshake.alert)\n"))
        #expect(client.received.isEmpty)
        try relay.process.errors.waitForLine(containing: "Link ended: ip=127.0.0.1, reason=TLS handshake failed: ")
        try honest.check()
    }

    @Test("bytes that are no TLS end with an alert, and nobody else notices")
    func garbage() throws {
        for seed in 0..<32 {
            var random = SplitMix(state: UInt64(seed))
            let socket = try Connection(to: relay.port)
            try socket.send((0..<Int.random(in: 16...4096, using: &random)).map { _ in .random(in: 0...255, using: &random) })
            var answer: [UInt8] = []
            let time = try elapsed { answer = try socket.receiveUntilGone() }
            #expect(time < Self.limit, "seed \(seed)")
            // 21 is the record type of alerts (RFC 8446 §5.1). What says it is a record, and lies, may end without one.
            #expect(answer.isEmpty || answer.first == 21, "seed \(seed)")
        }
        try relay.process.errors.waitForLine(containing: "Link ended: ip=127.0.0.1, reason=", occurrence: 32)
        try honest.check()
    }

    @Test("a connection that says nothing at all ends, and nobody else notices")
    func silence() throws {
        let sockets = try (0..<20).map { _ in try Connection(to: relay.port) }
        let time = try elapsed {
            for socket in sockets {
                let answer = try socket.receiveUntilGone()
                #expect(answer.isEmpty)
            }
        }
        #expect(time < Self.limit)
        try relay.process.errors.waitForLine(
            containing: "Link ended: ip=127.0.0.1, reason=TLS handshake failed: no handshake within", occurrence: 20)
        try honest.check()
    }

    @Test("a client that floods its tunnel beyond the window has that tunnel reset, and nobody else notices")
    func flood() throws {
        let client = try HostileClient(to: relay, in: site)
        let token = try text(of: site.token(subject: "flooder", role: "client", agents: ["honest"]))
            .split(separator: "\n")[0]
        let hello = #"{"version":1,"role":"client","token":"\#(token)","software":"test"}"#
        try client.send(.data(message(hello), on: 1, flags: Frame.syn))
        try client.awaitFrame("a welcome") { $0.stream == 1 && $0.type == Frame.data }
        try client.send(.data(message(#"{"agent_id":"honest"}"#), on: 3, flags: Frame.syn))
        try client.awaitFrame("a tunnel") { $0.stream == 3 && $0.type == Frame.data }

        // The agent takes a record of this length for the beginning of a handshake, and waits for the rest of it.
        try client.send(.data([22, 3, 3, 0x40, 0] + Array(repeating: 1, count: 1_000_000), on: 3))
        try client.awaitFrame("the tunnel's reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
        try relay.process.errors.waitForLine(containing: "Tunnel closed: client-id=flooder, agent-id=honest")
        try honest.check()

        // Its link is still good for another one.
        try client.send(.data(message(#"{"agent_id":"honest"}"#), on: 5, flags: Frame.syn))
        try client.awaitFrame("another tunnel") { $0.stream == 5 && $0.type == Frame.data }
    }
}

/// Random numbers that are the same each time (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

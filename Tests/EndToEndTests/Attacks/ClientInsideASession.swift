import TLSEngine
import TestSupport
import Testing

/// What ends a session at the agent, after its welcome: stream 1 is the control stream, 3 a forward that works.
enum SessionCrime: CaseIterable, Sendable {
    case unknownType, wrongVersion, reusedStreamID, evenStreamID, neverOpened, creditOverflow, pingOnAStream
    case unknownGoAway, secondHello, endOfTheControlStream, resetOfTheControlStream

    var frames: [Frame] {
        switch self {
        case .unknownType: [Frame(type: 4, stream: 0, length: 0)]
        case .wrongVersion: [Frame(version: 9, type: Frame.data, stream: 1, length: 0)]
        case .reusedStreamID: [.update(3, flags: Frame.syn)]
        case .evenStreamID: [.update(2, flags: Frame.syn)]
        case .neverOpened: [.data([1], on: 9)]
        case .creditOverflow: [.update(3, credit: .max), .update(3, credit: .max)]
        case .pingOnAStream: [Frame(type: Frame.ping, flags: Frame.syn, stream: 3, length: 0)]
        case .unknownGoAway: [Frame(type: Frame.goAway, stream: 0, length: 77)]
        case .secondHello: [.data(message(#"{"version":1}"#), on: 1)]
        case .endOfTheControlStream: [.update(1, flags: Frame.fin)]
        case .resetOfTheControlStream: [.update(1, flags: Frame.reset)]
        }
    }

    /// In the agent's line about the end.
    var reason: String {
        switch self {
        case .unknownType: "unknown frame type 4"
        case .wrongVersion: "unknown frame version 9"
        case .reusedStreamID: "stream ID 3 was used before"
        case .evenStreamID: "stream ID 2 cannot be opened by this peer"
        case .neverOpened: "frame for stream 9, which was never opened"
        case .creditOverflow: "credit overflow on stream 3"
        case .pingOnAStream: "malformed ping frame"
        case .unknownGoAway: "unknown go-away code 77"
        case .secondHello: "unexpected message on the session's control stream"
        case .endOfTheControlStream, .resetOfTheControlStream: "the other side ended the session"
        }
    }
}

/// A first message in a session that is no hello, and the code it is refused with.
enum BadSessionHello: String, CaseIterable, Sendable {
    case notJSON = "{", notAHello = #"{"target":"localhost:1"}"#, laterVersion = #"{"version":2}"#
    case anotherTarget = #"{"target":"localhost:1","version":1}"#
    case aForeignTarget = #"{"target":"192.0.2.1:80","version":1}"#
    case aTargetThatIsNone = #"{"target":"localhost","version":1}"#

    var code: String {
        switch self {
        case .notJSON, .notAHello, .aTargetThatIsNone: "malformed_message"
        case .laterVersion: "unsupported_version"
        case .anotherTarget, .aForeignTarget: "target_forbidden"
        }
    }
}

/// What a client sends again and again inside its session.
enum SessionFlood: CaseIterable, Sendable {
    case pings, emptyData, emptyUpdates, rapidResets, rapidForwards, openedStreams, halfRequests, forbiddenForwards

    func chunk(_ number: Int, target: String) -> [UInt8] {
        var bytes: [UInt8] = []
        for index in number * 500..<(number + 1) * 500 {
            for frame in frames(UInt32(5 + 2 * index), target) { bytes += frame.bytes }
        }
        return bytes
    }

    private func frames(_ stream: UInt32, _ target: String) -> [Frame] {
        let request = message(#"{"target":"\#(target)"}"#)
        return switch self {
        case .pings: [.ping(stream)]
        case .emptyData: [.data([], on: 3)]
        case .emptyUpdates: [.update(3)]
        case .rapidResets: [.update(stream, flags: Frame.syn), .update(stream, flags: Frame.reset)]
        // Each of them makes the agent dial.
        case .rapidForwards: [.data(request, on: stream, flags: Frame.syn), .update(stream, flags: Frame.reset)]
        case .openedStreams: [.update(stream, flags: Frame.syn)]
        case .halfRequests: [.data([0x40, 0] + Array(repeating: 32, count: 500), on: stream, flags: Frame.syn)]
        case .forbiddenForwards: [.data(message(#"{"target":"localhost:1"}"#), on: stream, flags: Frame.syn)]
        }
    }
}

/// The relay is honest, and so is a second client of the same agent.
@Suite(.serialized) struct `a hostile client inside a session` {
    private let scene: HonestScene

    init() throws {
        scene = try HonestScene()
        // From here on the target's connections are those of the attacker.
        try scene.honest.check()
    }

    /// A session with a forward, stream 3, that the target has taken.
    private func session() throws -> (client: FrameLine, session: FrameLine) {
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        let session = try client.openSession()
        try session.send(.data(message(#"{"target":"\#(scene.honest.echo.address)"}"#), on: 3, flags: Frame.syn))
        try session.awaitAnswer(on: 3)
        return (client, session)
    }

    @Test(arguments: SessionCrime.allCases)
    func `that breaks the protocol loses it, and nobody else notices`(crime: SessionCrime) throws {
        let (client, session) = try session()
        try session.send(plaintext: crime.frames.flatMap(\.bytes))
        let line = try scene.honest.agent.errors.waitForLine(containing: "Session ended: client-id=attacker, ")
        #expect(line.contains(crime.reason))
        try session.awaitEnd()
        // The link is the relay's business, and has done nothing wrong.
        #expect(client.end == nil)
        try scene.honest.check()
    }

    @Test(arguments: BadSessionHello.allCases)
    func `whose first message is no hello is refused by name, and reaches nothing`(hello: BadSessionHello) throws {
        let before = scene.honest.echo.connections
        let client = try FrameLine.client(at: scene.relay, in: scene.site)
        try client.openTunnel()
        let session = try client.session(on: 3, role: .client, identity: .generate(commonName: "attacker"))
        try session.start()
        try session.send(.data(message(hello.rawValue), on: 1, flags: Frame.syn))
        let answer = try session.awaitFrame("a refusal") { $0.isData(on: 1) }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""code":"\#(hello.code)""#))
        // A forward that comes all the same is reset, not dialed.
        try session.send(.data(message(#"{"target":"\#(scene.honest.echo.address)"}"#), on: 3, flags: Frame.syn))
        try session.awaitFrame("a reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
        #expect(scene.honest.echo.connections == before)
        try scene.honest.check()
    }

    @Test(arguments: ["localhost:1", "[::1]:22", "192.0.2.1:80", "169.254.169.254:80", "example.com:443"])
    func `that asks for another target is refused each time, and the session goes on`(target: String) throws {
        let (_, session) = try session()
        try session.send(.data(message(#"{"target":"\#(target)"}"#), on: 5, flags: Frame.syn))
        let answer = try session.awaitFrame("a refusal") { $0.isData(on: 5) }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""code":"target_forbidden""#))
        try scene.honest.agent.errors.waitForLine(containing: "Forward refused: client-id=attacker, target=\(target)")
        try session.send(.data(Array("still".utf8), on: 3))
        try session.awaitFrame("the echo of the first forward") { $0.payload == Array("still".utf8) }
    }

    @Test(arguments: [
        "{", "[]", #"{"target":7}"#, #"{"target":"a:1","target":"b:2"}"#, String(repeating: "{", count: 16_384),
    ])
    func `that sends no request is refused, and the session goes on`(request: String) throws {
        let (_, session) = try session()
        try session.send(.data(message(request), on: 5, flags: Frame.syn))
        let answer = try session.awaitFrame("a refusal") { $0.isData(on: 5) }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""code":"malformed_message""#))
        try session.send(.data(Array("still".utf8), on: 3))
        try session.awaitFrame("the echo of the first forward") { $0.payload == Array("still".utf8) }
    }

    @Test func `that sends beyond a forward's window has it reset, and the session goes on`() throws {
        let (_, session) = try session()
        try session.send(.data(message(#"{"target":"\#(scene.honest.echo.address)"}"#), on: 5, flags: Frame.syn))
        try session.send(Frame(type: Frame.data, stream: 5, length: 1 << 20))
        try session.awaitFrame("a reset") { $0.stream == 5 && $0.flags & Frame.reset != 0 }
        try session.send(plaintext: Array(repeating: 1, count: 1 << 20))
        try session.send(.data(Array("still".utf8), on: 3))
        try session.awaitFrame("the echo of the first forward") { $0.payload == Array("still".utf8) }
        try scene.honest.check()
    }

    @Test(arguments: SessionFlood.allCases)
    func `that floods the agent costs it bounded memory, and nobody else notices`(flood: SessionFlood) throws {
        let (client, session) = try session()
        try scene.honest.agent.stays(within: 48 << 20) {
            // Each of these has a connection at the target, which is this process.
            for number in 0..<(flood == .rapidForwards ? 4 : 40) {
                do { try session.send(plaintext: flood.chunk(number, target: scene.honest.echo.address)) } catch {
                    break
                }
            }
            try scene.honest.check()
        }
        client.drop()
        try scene.honest.agent.errors.waitForLine(containing: "Session ended: client-id=attacker, ")
        try scene.honest.check()
    }

    @Test func `that asks for answers and reads none is given no more credit`() throws {
        let client = try FrameLine.client(at: scene.relay, in: scene.site, receiveBuffer: 4096)
        let session = try client.openSession()
        client.pauseReading()
        try scene.honest.agent.stays(within: 48 << 20) {
            var number = 0
            while (try? session.send(plaintext: SessionFlood.pings.chunk(number, target: ""))) != nil, number < 40_000 {
                number += 1
            }
            #expect(number < 40_000)
        }
        try scene.honest.check()
    }
}

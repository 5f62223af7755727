import Testing
import Wire

@testable import Mux

@Suite("Streams of a session")
struct StreamTests {
    @Test("streams are numbered upwards, odd for the dialer and even for the acceptor")
    func numbering() throws {
        var dialer = Session(role: .dialer)
        var acceptor = Session(role: .acceptor)
        #expect(try (0..<3).map { _ in try dialer.open().0.rawValue } == [1, 3, 5])
        #expect(try (0..<3).map { _ in try acceptor.open().0.rawValue } == [2, 4, 6])
    }

    @Test("opening and accepting are window updates of no credit")
    func openingFrames() throws {
        var dialer = Session(role: .dialer)
        var acceptor = Session(role: .acceptor)
        let (id, syn) = try dialer.open()
        #expect(syn == FrameHeader(.windowUpdate, flags: .syn, streamID: id, length: 0))
        #expect(try acceptor.receive(syn) == .stream(StreamEvent(id: id, opened: true)))
        let acceptance = acceptor.accept(id)
        let ack = try #require(acceptance)
        #expect(ack == FrameHeader(.windowUpdate, flags: .ack, streamID: id, length: 0))
        #expect(try dialer.receive(ack) == .stream(StreamEvent(id: id)))
        #expect(acceptor.accept(id) == nil)
    }

    @Test("a stream may open with data, credit and its end in one frame")
    func openingWithMore() throws {
        var session = Session(role: .acceptor)
        let data = FrameHeader(.data, flags: [.syn, .fin], streamID: StreamID(1), length: 9)
        #expect(
            try session.receive(data)
                == .stream(StreamEvent(id: StreamID(1), opened: true, payload: 9, ending: .finished)))
        let credit = FrameHeader(.windowUpdate, flags: .syn, streamID: StreamID(3), length: 1000)
        #expect(try session.receive(credit) == .stream(StreamEvent(id: StreamID(3), opened: true, credit: 1000)))
        #expect(session.sendCredit(StreamID(3)) == 262_144 + 1000)
    }

    @Test("a stream that opens and resets in one frame leaves nothing behind")
    func stillborn() throws {
        var session = Session(role: .acceptor)
        let header = FrameHeader(.windowUpdate, flags: [.syn, .rst], streamID: StreamID(1), length: 0)
        #expect(try session.receive(header) == .stream(StreamEvent(id: StreamID(1), opened: true, ending: .reset)))
        #expect(session.streamCount == 0)
        #expect(session.unaccepted == 0)
    }

    @Test("a stream that opens beyond its window is reset and was never there")
    func openingBeyondWindow() throws {
        var session = Session(role: .acceptor)
        let header = FrameHeader(.data, flags: .syn, streamID: StreamID(1), length: 262_145)
        guard case .reset(StreamID(1), .dataBeyondWindow, _, discard: 262_145) = try session.receive(header) else {
            Issue.record("data beyond the window was taken")
            return
        }
        #expect(session.streamCount == 0)
        #expect(session.unaccepted == 0)
    }

    @Test("stream ID 0 names no stream", arguments: [FrameHeader.Kind.data, .windowUpdate])
    func zero(kind: FrameHeader.Kind) {
        for flags: FrameHeader.Flags in [[], .syn, .rst] {
            var session = Session(role: .acceptor)
            #expect(throws: SessionError.badStreamID(.session)) {
                try session.receive(FrameHeader(kind, flags: flags, streamID: .session, length: 0))
            }
        }
    }

    @Test("a peer opens no IDs of ours")
    func parity() {
        var acceptor = Session(role: .acceptor)
        #expect(throws: SessionError.badStreamID(StreamID(2))) { try acceptor.receive(opening(2)) }
        var dialer = Session(role: .dialer)
        #expect(throws: SessionError.badStreamID(StreamID(1))) { try dialer.receive(opening(1)) }
    }

    @Test(
        "a frame for the ID that this side opens next ends the session", arguments: [FrameHeader.Flags.fin, .rst, []])
    func nextID(flags: FrameHeader.Flags) throws {
        var session = Session(role: .dialer)
        _ = try session.open()
        #expect(throws: SessionError.neverOpened(StreamID(3))) {
            try session.receive(FrameHeader(.data, flags: flags, streamID: StreamID(3), length: 0))
        }
        _ = try session.open()
        #expect(try session.receive(FrameHeader(.data, streamID: StreamID(3), length: 0)).payload == 0)
    }

    @Test("a peer goes up in its IDs: lower ones and used ones are refused, skipped ones are lost")
    func order() throws {
        var session = Session(role: .acceptor)
        _ = try session.receive(opening(5))
        #expect(throws: SessionError.reusedStreamID(StreamID(3))) { try session.receive(opening(3)) }
        #expect(throws: SessionError.reusedStreamID(StreamID(5))) { try session.receive(opening(5)) }
        let late = FrameHeader(.data, streamID: StreamID(3), length: 4)
        #expect(try session.receive(late) == .discard(payload: 4))
    }

    @Test("the highest ID is the peer's last")
    func highestRemoteID() throws {
        var session = Session(role: .acceptor)
        _ = try session.receive(opening(.max))
        #expect(throws: SessionError.reusedStreamID(StreamID(.max))) { try session.receive(opening(.max)) }
        #expect(throws: SessionError.reusedStreamID(StreamID(1))) { try session.receive(opening(1)) }
    }

    @Test("opening fails once IDs run out, and goes no further", arguments: [Session.Role.dialer, .acceptor])
    func exhaustion(role: Session.Role) throws {
        let last: UInt32 = role == .dialer ? .max - 2 : .max - 3
        var session = Session(role: role, limits: Limits(), secret: 1, firstID: last)
        #expect(try session.open().0.rawValue == last)
        for _ in 0..<3 {
            #expect(throws: OpenError.streamIDsExhausted) { try session.open() }
        }
        #expect(session.streamCount == 1)
    }

    @Test("after a reset either way, late frames are dropped")
    func lateFrames() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        #expect(session.reset(id) == FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0))
        #expect(session.reset(id) == nil)
        #expect(try session.receive(FrameHeader(.data, streamID: id, length: .max)) == .discard(payload: 4_294_967_295))
        #expect(try session.receive(FrameHeader(.data, flags: .fin, streamID: id, length: 0)) == .none)
        #expect(try session.receive(FrameHeader(.windowUpdate, streamID: id, length: .max)) == .none)
        #expect(try session.receive(FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0)) == .none)
    }

    @Test("a half-closed stream goes on the other way, and ends with the second half")
    func halfClose() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        #expect(session.finish(id) == FrameHeader(.windowUpdate, flags: .fin, streamID: id, length: 0))
        #expect(session.sendCredit(id) == 0)
        #expect(session.send(id, count: 1) == nil)
        #expect(try session.receive(FrameHeader(.data, streamID: id, length: 200_000)).payload == 200_000)
        #expect(session.consumed(id, count: 200_000, now: 0)?.length == 200_000)
        let end = FrameHeader(.data, flags: .fin, streamID: id, length: 50)
        #expect(try session.receive(end) == .stream(StreamEvent(id: id, payload: 50, ending: .finished)))
        #expect(!session.isOpen(id))
        #expect(session.consumed(id, count: 50, now: 0) == nil)
    }
}

@Suite("Limits of a session")
struct LimitTests {
    @Test("one stream more than the limit is reset, whoever opened the others")
    func streams() throws {
        var session = Session(role: .acceptor, limits: Limits(streams: 3))
        _ = try session.open()
        _ = try session.receive(opening(1))
        _ = try session.receive(opening(3))
        #expect(try session.receive(opening(5)) == refusal(5, .tooManyStreams))
        #expect(throws: OpenError.tooManyStreams) { try session.open() }
        // The turned-away stream is gone, not unheard of.
        #expect(try session.receive(FrameHeader(.data, streamID: StreamID(5), length: 8)) == .discard(payload: 8))
        _ = session.reset(StreamID(1))
        #expect(try session.receive(opening(7)) == .stream(StreamEvent(id: StreamID(7), opened: true)))
    }

    @Test("one unaccepted stream more than the limit is reset")
    func unaccepted() throws {
        var session = Session(role: .acceptor, limits: Limits(unacceptedStreams: 2))
        _ = try session.receive(opening(1))
        _ = try session.receive(opening(3))
        #expect(try session.receive(opening(5)) == refusal(5, .tooManyUnaccepted))
        _ = session.accept(StreamID(1))
        #expect(try session.receive(opening(7)) == .stream(StreamEvent(id: StreamID(7), opened: true)))
        #expect(session.unaccepted == 2)
    }

    @Test("a stream that ends unaccepted makes room, however it ends", arguments: ["reset", "rst", "both fins"])
    func room(ending: String) throws {
        var session = Session(role: .acceptor, limits: Limits(unacceptedStreams: 1))
        let id = StreamID(1)
        _ = try session.receive(opening(1))
        switch ending {
        case "reset": _ = session.reset(id)
        case "rst": _ = try session.receive(FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0))
        default:
            _ = try session.receive(FrameHeader(.windowUpdate, flags: .fin, streamID: id, length: 0))
            _ = session.finish(id)
        }
        #expect(session.unaccepted == 0)
        #expect(try session.receive(opening(3)) == .stream(StreamEvent(id: StreamID(3), opened: true)))
    }

    @Test("streams of ours need no acceptance here")
    func ownStreams() throws {
        var session = Session(role: .acceptor, limits: Limits(unacceptedStreams: 0))
        let (id, _) = try session.open()
        #expect(session.isOpen(id))
        #expect(try session.receive(opening(1)) == refusal(1, .tooManyUnaccepted))
    }
}

@Suite("Pings and go-aways")
struct ControlFrameTests {
    @Test("a ping is answered with its value", arguments: [UInt32(0), 1, 0x7fff_ffff, 0x8000_0001, .max])
    func answer(value: UInt32) throws {
        var session = Session(role: .acceptor)
        let ping = FrameHeader(.ping, flags: .syn, streamID: .session, length: value)
        #expect(
            try session.receive(ping) == .send(FrameHeader(.ping, flags: .ack, streamID: .session, length: value)))
    }

    @Test("a keepalive comes back as a pong of its value")
    func pong() throws {
        var session = Session(role: .dialer)
        var peer = Session(role: .acceptor)
        guard case .send(let answer) = try peer.receive(session.ping(42)) else {
            Issue.record("the ping was not answered")
            return
        }
        #expect(try session.receive(answer) == .pong(42))
    }

    @Test("a pong that nobody asked for is told, and changes nothing")
    func strayPong() throws {
        var session = Session(role: .dialer)
        for value: UInt32 in [0, 1, 1 << 31, .max] {
            let pong = FrameHeader(.ping, flags: .ack, streamID: .session, length: value)
            #expect(try session.receive(pong) == .pong(value))
        }
    }

    @Test("a ping on a stream, or with other flags, ends the session")
    func malformedPing() {
        let onStream = FrameHeader(.ping, flags: .syn, streamID: StreamID(1), length: 0)
        let flags: [FrameHeader.Flags] = [[], [.syn, .ack], .fin, .rst, [.syn, .fin], [.ack, .rst]]
        let headers = [onStream] + flags.map { FrameHeader(.ping, flags: $0, streamID: .session, length: 0) }
        for header in headers {
            var session = Session(role: .acceptor)
            #expect(throws: SessionError.malformedControlFrame(.ping)) { try session.receive(header) }
        }
    }

    @Test("a go-away of each code is told, and nothing opens after it", arguments: GoAwayCode.allCases)
    func receivedGoAway(code: GoAwayCode) throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        let header = FrameHeader(.goAway, streamID: .session, length: code.rawValue)
        #expect(try session.receive(header) == .goAway(code))
        #expect(throws: OpenError.sessionEnding) { try session.open() }
        // What is open goes on.
        #expect(session.send(id, count: 5) == FrameHeader(.data, streamID: id, length: 5))
        #expect(try session.receive(FrameHeader(.data, streamID: id, length: 6)).payload == 6)
        // A second one is as good as the first.
        #expect(try session.receive(header) == .goAway(code))
    }

    @Test("after our go-away, an opening that was under way is turned away and the session goes on")
    func sentGoAway() throws {
        var session = Session(role: .acceptor)
        _ = try session.receive(opening(1))
        #expect(session.goAway(.normal) == FrameHeader(.goAway, streamID: .session, length: 0))
        #expect(throws: OpenError.sessionEnding) { try session.open() }
        let late = FrameHeader(.data, flags: .syn, streamID: StreamID(3), length: 77)
        guard case .reset(StreamID(3), _, let reset, discard: 77) = try session.receive(late) else {
            Issue.record("a stream opened after the go-away")
            return
        }
        #expect(reset == FrameHeader(.windowUpdate, flags: .rst, streamID: StreamID(3), length: 0))
        #expect(try session.receive(FrameHeader(.data, streamID: StreamID(3), length: 9)) == .discard(payload: 9))
        #expect(session.accept(StreamID(1)) != nil)
        #expect(session.streamCount == 1)
    }

    @Test("a go-away carries its code", arguments: GoAwayCode.allCases)
    func goAwayCode(code: GoAwayCode) {
        var session = Session(role: .dialer)
        #expect(session.goAway(code) == FrameHeader(.goAway, streamID: .session, length: code.rawValue))
    }

    @Test("a go-away on a stream, with flags or with an unknown code ends the session")
    func malformedGoAway() {
        for header in [
            FrameHeader(.goAway, streamID: StreamID(1), length: 0),
            FrameHeader(.goAway, flags: .syn, streamID: .session, length: 0),
            FrameHeader(.goAway, flags: .rst, streamID: .session, length: 0),
        ] {
            var session = Session(role: .acceptor)
            #expect(throws: SessionError.malformedControlFrame(.goAway)) { try session.receive(header) }
        }
        var session = Session(role: .acceptor)
        #expect(throws: SessionError.unknownGoAwayCode(3)) {
            try session.receive(FrameHeader(.goAway, streamID: .session, length: 3))
        }
    }
}

func opening(_ id: UInt32) -> FrameHeader {
    FrameHeader(.windowUpdate, flags: .syn, streamID: StreamID(id), length: 0)
}

private func refusal(_ id: UInt32, _ error: StreamError) -> ReceiveAction {
    .reset(
        StreamID(id), error, send: FrameHeader(.windowUpdate, flags: .rst, streamID: StreamID(id), length: 0),
        discard: 0)
}

extension ReceiveAction {
    /// Payload that goes to a stream.
    var payload: Int? {
        guard case .stream(let event) = self else { return nil }
        return event.payload
    }
}

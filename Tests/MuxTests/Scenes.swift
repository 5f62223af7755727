import Wire

@testable import Mux

/// Every state a stream can be in, as this side sees it.
enum Scene: String, CaseIterable {
    /// Opened here; the peer has not acknowledged.
    case awaitingAck
    /// Opened here and acknowledged.
    case ours
    /// Opened by the peer; not accepted here.
    case unaccepted
    /// Opened by the peer and accepted.
    case theirs
    case localFinished
    case remoteFinished
    case gone
    case neverOpened

    /// The stream in question: odd where this side, the dialer, opens it.
    var id: StreamID {
        switch self {
        case .awaitingAck, .ours: StreamID(1)
        case .unaccepted, .theirs, .localFinished, .remoteFinished, .gone, .neverOpened: StreamID(2)
        }
    }

    /// A dialer's session with the stream in this state, led there by frames as a peer would send them.
    func session() throws -> Session {
        var session = Session(role: .dialer)
        switch self {
        case .awaitingAck:
            _ = try session.open()
        case .ours:
            _ = try session.open()
            _ = try session.receive(update(.ack))
        case .unaccepted:
            _ = try session.receive(update(.syn))
        case .theirs, .localFinished, .remoteFinished, .gone:
            _ = try session.receive(update(.syn))
            _ = session.accept(id)
            if self == .localFinished { _ = session.finish(id) }
            if self == .remoteFinished { _ = try session.receive(update(.fin)) }
            if self == .gone { _ = session.reset(id) }
        case .neverOpened:
            break
        }
        return session
    }

    private func update(_ flags: FrameHeader.Flags) -> FrameHeader {
        FrameHeader(.windowUpdate, flags: flags, streamID: id, length: 0)
    }
}

/// What `Session` knows of a stream, to compare with what an event should have left behind.
enum Standing: String {
    case awaitingAck
    case unaccepted
    case open
    case localFinished
    case remoteFinished
    case absent

    init(_ id: StreamID, in session: Session) {
        guard let stream = session.streams[id] else {
            self = .absent
            return
        }
        switch (stream.halves, stream.acknowledgement) {
        case (.open, .awaited): self = .awaitingAck
        case (.open, .owed): self = .unaccepted
        case (.open, .done): self = .open
        case (.localFinished, _): self = .localFinished
        case (.remoteFinished, _): self = .remoteFinished
        }
    }
}

/// What may happen to a stream.
enum Happening: String, CaseIterable {
    case data, dataBeyondWindow, credit, creditOverflow, ack, fin, dataWithFin, rst, dataWithRst, syn
    case send, sendBeyondCredit, finish, reset, accept, consumeLittle, consumeMuch, grant

    /// Applies it, and tells what came of it.
    func happens(to id: StreamID, in session: inout Session) -> Outcome {
        switch self {
        case .data: received(FrameHeader(.data, streamID: id, length: 100), in: &session)
        case .dataBeyondWindow: received(FrameHeader(.data, streamID: id, length: 262_145), in: &session)
        case .credit: received(FrameHeader(.windowUpdate, streamID: id, length: 7), in: &session)
        case .creditOverflow: received(FrameHeader(.windowUpdate, streamID: id, length: .max), in: &session)
        case .ack: received(FrameHeader(.windowUpdate, flags: .ack, streamID: id, length: 0), in: &session)
        case .fin: received(FrameHeader(.windowUpdate, flags: .fin, streamID: id, length: 0), in: &session)
        case .dataWithFin: received(FrameHeader(.data, flags: .fin, streamID: id, length: 100), in: &session)
        case .rst: received(FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0), in: &session)
        case .dataWithRst: received(FrameHeader(.data, flags: .rst, streamID: id, length: 100), in: &session)
        case .syn: received(FrameHeader(.windowUpdate, flags: .syn, streamID: id, length: 0), in: &session)
        case .send: sent(session.send(id, count: 100))
        case .sendBeyondCredit: sent(session.send(id, count: 262_145))
        case .finish: sent(session.finish(id))
        case .reset: sent(session.reset(id))
        case .accept: sent(session.accept(id))
        case .consumeLittle: sent(session.consumed(id, count: 10, now: 0))
        case .consumeMuch: sent(session.consumed(id, count: 131_072, now: 0))
        case .grant: sent(session.grant(id, count: 5))
        }
    }

    private func received(_ header: FrameHeader, in session: inout Session) -> Outcome {
        do {
            return .does(try session.receive(header))
        } catch {
            return .ends(error)
        }
    }

    private func sent(_ header: FrameHeader?) -> Outcome {
        header.map(Outcome.sends) ?? .nothing
    }
}

enum Outcome: Equatable {
    case does(ReceiveAction)
    case sends(FrameHeader)
    /// Our own call found nothing to do.
    case nothing
    case ends(SessionError)
}

extension Session {
    /// With a secret that is none: nobody here is out to guess it.
    init(role: Role, limits: Limits = Limits()) {
        self.init(role: role, limits: limits, secret: 1)
    }
}

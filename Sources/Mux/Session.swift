package import Wire

/// One side of a yamux session (version 0) without I/O, clock or payload: it sees headers and byte counts and says what
/// to do. PROTOCOL §3 holds the rules, Docs/ARCHITECTURE.md how the handler performs the actions.
///
/// Not thread-safe: belongs to the event loop of its link.
package struct Session: Sendable {
    /// Which IDs this side opens.
    package enum Role: Sendable {
        /// Opens odd stream IDs.
        case dialer
        /// Opens even stream IDs.
        case acceptor
    }

    private enum Phase {
        case running
        /// A go-away was sent, received or both: what is open goes on, nothing new opens.
        case ending
    }

    private let role: Role
    private let limits: Limits
    private var phase = Phase.running
    private(set) var streams: StreamTable<Stream>
    private var nextLocalID: UInt32
    private var lastRemoteID: UInt32 = 0
    private(set) var unaccepted = 0
    /// What all windows together have beyond their initial size.
    package private(set) var grown = 0
    /// The largest window that a stream has earned: the next that is held back goes there in one step. Doubling would
    /// starve the carrier for many round trips, in which TCP forgets what the path can bear. Streams that carry sessions
    /// lead to different peers, and do not learn of each other.
    private var provenWindow = Protocol.initialWindow
    /// The shortest round trip that was measured, in nanoseconds; 0 before the first.
    package private(set) var shortestRoundTrip: Int64 = 0
    private static let longestRoundTrip: Int64 = 60_000_000_000
    /// The stream whose payload moved last, in either direction.
    private var busiest: StreamID?
    /// How often that was another than before.
    private var turns: UInt64 = 0
    /// The turns at the last look, and until when several streams count as busy, in nanoseconds.
    private var seenTurns: UInt64 = 0
    private var sharedUntil = Int64.min
    private static let sharedTime: Int64 = 300_000_000

    /// A session on which nothing has happened. `secret` is any number that no peer can guess; see `StreamTable`.
    package init(role: Role, limits: Limits = Limits(), secret: UInt64) {
        self.init(role: role, limits: limits, secret: secret, firstID: role == .dialer ? 1 : 2)
    }

    /// `firstID` must be of the role's parity; anything but the lowest leaves IDs out.
    init(role: Role, limits: Limits, secret: UInt64, firstID: UInt32) {
        self.role = role
        self.limits = limits
        streams = StreamTable(secret: secret)
        nextLocalID = firstID
    }

    /// Streams open now.
    package var streamCount: Int { streams.count }

    /// Whether the stream is there, in whatever state.
    package func isOpen(_ id: StreamID) -> Bool { streams[id] != nil }
}

// MARK: - Receiving

extension Session {
    /// Applies one received header. Throws for what ends the session; everything else is in the action.
    package mutating func receive(_ header: FrameHeader) throws(SessionError) -> ReceiveAction {
        switch header.kind {
        case .data, .windowUpdate: try receiveStreamFrame(header)
        case .ping: try receivePing(header)
        case .goAway: try receiveGoAway(header)
        }
    }

    private mutating func receiveStreamFrame(_ header: FrameHeader) throws(SessionError) -> ReceiveAction {
        let id = header.streamID
        guard id != .session else { throw .badStreamID(id) }
        if header.flags.has(.syn) {
            if let refusal = try receiveOpening(header) { return refusal }
        }
        guard let place = streams.place(of: id), var stream = streams.value(at: place) else {
            guard wasOpened(id) else { throw .neverOpened(id) }
            return header.payloadLength > 0 ? .discard(payload: header.payloadLength) : .none
        }
        if header.flags.has(.rst) {
            remove(id)
            // Payload of a frame that also resets is nobody's; it is dropped like the stream.
            var event = StreamEvent(id: id, opened: header.flags.has(.syn), ending: .reset)
            event.payload = header.payloadLength
            return .stream(event)
        }
        if header.flags.has(.ack), stream.acknowledgement == .awaited { stream.acknowledgement = .done }
        var event = StreamEvent(id: id, opened: header.flags.has(.syn))
        switch header.kind {
        case .data:
            do throws(StreamError) {
                try stream.receivedData(header.payloadLength)
            } catch {
                return reset(id, because: error, discarding: header.payloadLength)
            }
            event.payload = header.payloadLength
            if event.payload > 0 { moved(on: id) }
        case .windowUpdate, .ping, .goAway:
            guard stream.receivedCredit(Int(header.length)) else { throw .creditOverflow(id) }
            event.credit = Int(header.length)
        }
        if header.flags.has(.fin) {
            event.ending = .finished
            if stream.receivedFinish() == .gone {
                remove(id)
                return .stream(event)
            }
        }
        streams.replace(at: place, by: stream)
        return .stream(event)
    }

    /// Admits a stream that the peer opens, or says how it is turned away.
    private mutating func receiveOpening(_ header: FrameHeader) throws(SessionError) -> ReceiveAction? {
        let id = header.streamID
        guard id.isOpenedByDialer == (role == .acceptor) else { throw .badStreamID(id) }
        guard id.rawValue > lastRemoteID else { throw .reusedStreamID(id) }
        lastRemoteID = id.rawValue
        let excess: StreamError? =
            streams.count >= limits.streams
            ? .tooManyStreams : unaccepted >= limits.unacceptedStreams ? .tooManyUnaccepted : nil
        if let excess { return reset(id, because: excess, discarding: header.payloadLength) }
        // After a go-away of ours the opening may have been under way: turned away without blame.
        if phase == .ending {
            return .reset(id, .tooManyStreams, send: resetFrame(id), discard: header.payloadLength)
        }
        streams[id] = Stream(acknowledgement: .owed)
        unaccepted += 1
        return nil
    }

    private mutating func receivePing(_ header: FrameHeader) throws(SessionError) -> ReceiveAction {
        guard header.streamID == .session else { throw .malformedControlFrame(.ping) }
        switch header.flags {
        case .syn:
            return .send(FrameHeader(.ping, flags: .ack, streamID: .session, length: header.length))
        case .ack:
            return .pong(header.length)
        default:
            throw .malformedControlFrame(.ping)
        }
    }

    private mutating func receiveGoAway(_ header: FrameHeader) throws(SessionError) -> ReceiveAction {
        guard header.streamID == .session, header.flags.isEmpty else { throw .malformedControlFrame(.goAway) }
        guard let code = GoAwayCode(rawValue: header.length) else { throw .unknownGoAwayCode(header.length) }
        phase = .ending
        return .goAway(code)
    }

    private func wasOpened(_ id: StreamID) -> Bool {
        let isLocal = id.isOpenedByDialer == (role == .dialer)
        return isLocal ? id.rawValue < nextLocalID : id.rawValue <= lastRemoteID
    }
}

// MARK: - Streams of ours

extension Session {
    /// Opens a stream; the header (a window update with SYN) goes out first.
    package mutating func open() throws(OpenError) -> (StreamID, FrameHeader) {
        guard phase == .running else { throw .sessionEnding }
        guard streams.count < limits.streams else { throw .tooManyStreams }
        guard nextLocalID < UInt32.max - 1 else { throw .streamIDsExhausted }
        let id = StreamID(nextLocalID)
        nextLocalID += 2
        streams[id] = Stream(acknowledgement: .awaited)
        return (id, FrameHeader(.windowUpdate, flags: .syn, streamID: id, length: 0))
    }

    /// Accepts a stream that the peer opened. Nil when it is gone or accepted already.
    package mutating func accept(_ id: StreamID) -> FrameHeader? {
        guard streams[id]?.acknowledgement == .owed else { return nil }
        streams[id]?.acknowledgement = .done
        unaccepted -= 1
        return FrameHeader(.windowUpdate, flags: .ack, streamID: id, length: 0)
    }

    /// Bytes that may be sent on the stream now; 0 when our half has ended or the stream is gone.
    package func sendCredit(_ id: StreamID) -> Int {
        guard let stream = streams[id], stream.maySend else { return 0 }
        return stream.sendCredit
    }

    /// Bytes that the peer may still send on the stream; 0 when it is gone.
    package func receiveCredit(_ id: StreamID) -> Int {
        streams[id]?.receiveWindow.remaining ?? 0
    }

    /// Debits `count` bytes and returns the header to put before them. Nil, and nothing debited, beyond the credit.
    package mutating func send(_ id: StreamID, count: Int) -> FrameHeader? {
        guard let length = UInt32(exactly: count), let place = streams.place(of: id),
            var stream = streams.value(at: place), stream.take(count)
        else { return nil }
        streams.replace(at: place, by: stream)
        moved(on: id)
        return FrameHeader(.data, streamID: id, length: length)
    }

    /// Ends our half. Nil when it has ended already or the stream is gone.
    package mutating func finish(_ id: StreamID) -> FrameHeader? {
        guard var stream = streams[id], stream.maySend else { return nil }
        if stream.finish() == .gone { remove(id) } else { streams[id] = stream }
        return FrameHeader(.windowUpdate, flags: .fin, streamID: id, length: 0)
    }

    /// Gives the stream up. Nil when it is gone already.
    package mutating func reset(_ id: StreamID) -> FrameHeader? {
        remove(id) ? resetFrame(id) : nil
    }

    private mutating func reset(_ id: StreamID, because error: StreamError, discarding payload: Int) -> ReceiveAction {
        remove(id)
        return .reset(id, error, send: resetFrame(id), discard: payload)
    }

    private func resetFrame(_ id: StreamID) -> FrameHeader {
        FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0)
    }

    @discardableResult
    private mutating func remove(_ id: StreamID) -> Bool {
        guard let stream = streams.removeValue(of: id) else { return false }
        if stream.acknowledgement == .owed { unaccepted -= 1 }
        grown -= stream.receiveWindow.size - Protocol.initialWindow
        return true
    }
}

// MARK: - Credit

extension Session {
    /// Bytes of the stream have gone where they were going: their credit is the peer's again. The header to send, once
    /// enough is owed. `now` is a monotonic time in nanoseconds; `spare` is how many bytes windows may grow by now, where
    /// sessions share a budget (`grown` tells what became of it).
    package mutating func consumed(
        _ id: StreamID, count: Int, now: @autoclosure () -> Int64, spare: Int = .max
    ) -> FrameHeader? {
        // Taken out and put back whole: a change in place allocates, and this is done for every frame.
        guard let place = streams.place(of: id), var stream = streams.value(at: place) else { return nil }
        stream.receiveWindow.consumed(count)
        var update: FrameHeader?
        if stream.receiveWindow.isDue {
            adapt(&stream.receiveWindow, at: now(), spare: spare)
            let credit = stream.receiveWindow.giveBack()
            if credit > 0 { update = FrameHeader(.windowUpdate, streamID: id, length: UInt32(credit)) }
        }
        streams.replace(at: place, by: stream)
        return update
    }

    /// A ping took this long to come back: the shortest decides how windows grow. Times over a minute count as one.
    package mutating func measured(roundTrip nanoseconds: Int64) {
        let time = min(max(nanoseconds, 1), Session.longestRoundTrip)
        shortestRoundTrip = shortestRoundTrip == 0 ? time : min(shortestRoundTrip, time)
    }

    /// The stream carries a session whose round trips are longer than this one's, for they span a second link.
    package mutating func measured(roundTrip nanoseconds: Int64, carriedOn id: StreamID) {
        let time = min(max(nanoseconds, 1), Session.longestRoundTrip)
        guard let before = streams[id]?.receiveWindow.carriedRoundTrip else { return }
        streams[id]?.receiveWindow.carriedRoundTrip = before == 0 ? time : min(before, time)
    }

    /// Passes on credit that comes from beyond, for a stream that is spliced. Nil when the stream is gone.
    package mutating func grant(_ id: StreamID, count: Int) -> FrameHeader? {
        guard var stream = streams[id], let length = UInt32(exactly: count), length > 0 else { return nil }
        stream.receiveWindow.grant(count)
        streams[id] = stream
        return FrameHeader(.windowUpdate, streamID: id, length: length)
    }

    private mutating func adapt(_ window: inout ReceiveWindow, at now: Int64, spare: Int) {
        if turns &- seenTurns > 1 { sharedUntil = now &+ Session.sharedTime }
        seenTurns = turns
        switch window.fellDue(at: now, roundTrip: shortestRoundTrip, isShared: now < sharedUntil) {
        case .fits: break
        case .isSmall(let limit): grow(&window, to: min(limit, limits.largestWindow), spare: spare)
        case .shrank(let count): grown -= count
        }
    }

    private mutating func grow(_ window: inout ReceiveWindow, to limit: Int, spare: Int) {
        let left = min(limits.growthBudget - grown, spare)
        var step = window.size
        if window.carriedRoundTrip == 0 { step = max(step, min(provenWindow - window.size, left / 4)) }
        let more = min(step, limit - window.size, left)
        guard more > 0 else { return }
        window.grow(by: more)
        grown += more
        if window.carriedRoundTrip == 0 { provenWindow = max(provenWindow, window.size) }
    }

    /// Payload of the stream was sent or received.
    private mutating func moved(on id: StreamID) {
        guard id != busiest else { return }
        busiest = id
        turns &+= 1
    }
}

// MARK: - The session itself

extension Session {
    /// A ping. `value` comes back as `.pong(value)`.
    package func ping(_ value: UInt32) -> FrameHeader {
        FrameHeader(.ping, flags: .syn, streamID: .session, length: value)
    }

    /// Takes no new streams from now on; with a code other than `.normal`, the caller ends the session next.
    package mutating func goAway(_ code: GoAwayCode) -> FrameHeader {
        phase = .ending
        return FrameHeader(.goAway, streamID: .session, length: code.rawValue)
    }
}

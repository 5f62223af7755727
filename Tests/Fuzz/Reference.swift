import Wire

@testable import Mux

/// PROTOCOL §3 once more, written from the document: what a session does about a frame, told without its windows'
/// growth.
struct Reference {
    struct Book {
        var isOwedAcceptance = false
        var hasFinished = false
        var peerHasFinished = false
        var sendCredit = Protocol.initialWindow
        /// What the peer may still send.
        var remaining = Protocol.initialWindow
        /// Received, and not consumed.
        var unread = 0
        /// Given out beyond what was consumed, for a splice.
        var granted = 0
    }

    private let isDialer: Bool
    private let limits: Limits
    private(set) var streams: [StreamID: Book] = [:]
    private var nextOwn: UInt32
    private var lastOfPeer: UInt32 = 0
    var isEnding = false

    init(isDialer: Bool, limits: Limits) {
        self.isDialer = isDialer
        self.limits = limits
        nextOwn = isDialer ? 1 : 2
    }

    /// Nil for a session error.
    mutating func receive(_ header: FrameHeader) -> ReceiveAction? {
        switch header.kind {
        case .ping:
            if header.streamID != .session { return nil }
            if header.flags == .ack { return .pong(header.length) }
            guard header.flags == .syn else { return nil }
            return .send(FrameHeader(.ping, flags: .ack, streamID: .session, length: header.length))
        case .goAway:
            guard header.streamID == .session, header.flags == [], header.length <= 2,
                let code = GoAwayCode(rawValue: header.length)
            else { return nil }
            isEnding = true
            return .goAway(code)
        case .data, .windowUpdate:
            return header.streamID == .session ? nil : receiveOnStream(header)
        }
    }

    private mutating func receiveOnStream(_ header: FrameHeader) -> ReceiveAction? {
        let id = header.streamID
        let isPeers = (id.rawValue % 2 == 1) != isDialer
        let payload = header.kind == .data ? Int(header.length) : 0
        let opens = header.flags.contains(.syn)
        if opens {
            guard isPeers, id.rawValue > lastOfPeer else { return nil }
            lastOfPeer = id.rawValue
            if streams.count >= limits.streams { return brokenOff(id, .tooManyStreams, payload) }
            if streams.values.count(where: \.isOwedAcceptance) >= limits.unacceptedStreams {
                return brokenOff(id, .tooManyUnaccepted, payload)
            }
            if isEnding { return brokenOff(id, .tooManyStreams, payload) }
            streams[id] = Book(isOwedAcceptance: true)
        }
        guard var book = streams[id] else {
            guard isPeers ? id.rawValue <= lastOfPeer : id.rawValue < nextOwn else { return nil }
            return payload > 0 ? .discard(payload: payload) : ReceiveAction.none
        }
        var event = StreamEvent(id: id, opened: opens)
        event.payload = payload
        if header.flags.contains(.rst) {
            streams[id] = nil
            event.ending = .reset
            return .stream(event)
        }
        if header.kind == .data {
            if book.peerHasFinished { return brokenOff(id, .dataAfterFinish, payload) }
            if payload > book.remaining { return brokenOff(id, .dataBeyondWindow, payload) }
            book.remaining -= payload
            book.unread += payload
        } else {
            event.credit = Int(header.length)
            book.sendCredit += event.credit
            if book.sendCredit >= 1 << 32 { return nil }
        }
        if header.flags.contains(.fin) {
            book.peerHasFinished = true
            event.ending = .finished
        }
        streams[id] = book.peerHasFinished && book.hasFinished ? nil : book
        return .stream(event)
    }

    private mutating func brokenOff(_ id: StreamID, _ error: StreamError, _ payload: Int) -> ReceiveAction {
        streams[id] = nil
        return .reset(
            id, error, send: FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0), discard: payload)
    }

    mutating func open() -> StreamID? {
        guard !isEnding, streams.count < limits.streams else { return nil }
        let id = StreamID(nextOwn)
        nextOwn += 2
        streams[id] = Book()
        return id
    }

    mutating func accept(_ id: StreamID) -> Bool {
        guard streams[id]?.isOwedAcceptance == true else { return false }
        streams[id]?.isOwedAcceptance = false
        return true
    }

    mutating func send(_ id: StreamID, _ count: Int) -> Bool {
        guard let book = streams[id], !book.hasFinished, count <= book.sendCredit else { return false }
        streams[id]?.sendCredit -= count
        return true
    }

    mutating func consumed(_ id: StreamID, _ count: Int, givenBack: Int) {
        streams[id]?.unread -= count
        streams[id]?.remaining += givenBack
    }

    mutating func finish(_ id: StreamID) -> Bool {
        guard let book = streams[id], !book.hasFinished else { return false }
        if book.peerHasFinished { streams[id] = nil } else { streams[id]?.hasFinished = true }
        return true
    }

    mutating func reset(_ id: StreamID) -> Bool {
        streams.removeValue(forKey: id) != nil
    }

    mutating func grant(_ id: StreamID, _ count: Int) -> Bool {
        guard count > 0, streams[id] != nil else { return false }
        streams[id]?.remaining += count
        streams[id]?.granted += count
        return true
    }
}

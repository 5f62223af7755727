import Mux
import Wire

/// Carries `count` data frames from one session to the other, encoded and decoded as on a link, on 64 streams in turn.
/// Receivers return credit, windows grow, and each stream ends after 100 frames for another one to take its place.
func carryFrames(_ count: Int) throws {
    var pair = SessionPair()
    var streams = try (0..<64).map { _ in try pair.open() }
    for frame in 0..<count {
        let index = frame % streams.count
        try pair.carryData(on: streams[index])
        if frame / streams.count % 100 == 99 {
            try pair.close(streams[index])
            streams[index] = try pair.open()
        }
    }
    try WorkDiffers.check(pair.received, is: count * SessionPair.payload, "bytes received")
}

/// Two sessions, joined by headers alone: a mux never sees payload.
private struct SessionPair {
    /// A frame that fills a TLS record together with its header.
    static let payload = 16 * 1024 - FrameHeader.size
    /// In nanoseconds. A link so long, and so fast, that windows grow.
    private static let roundTrip: Int64 = 20_000_000
    private static let timePerFrame: Int64 = 10_000

    private var dialer = Session(role: .dialer, secret: 1)
    private var acceptor = Session(role: .acceptor, secret: 1)
    private var now: Int64 = 0
    private(set) var received = 0

    init() {
        acceptor.measured(roundTrip: SessionPair.roundTrip)
    }

    mutating func open() throws -> StreamID {
        let (id, opening) = try dialer.open()
        _ = try acceptor.receive(transmitted(opening))
        try dialerReceives(acceptor.accept(id))
        return id
    }

    mutating func carryData(on id: StreamID) throws {
        guard let header = dialer.send(id, count: SessionPair.payload) else {
            throw WorkDiffers(description: "no credit on stream \(id)")
        }
        guard case .stream(let event) = try acceptor.receive(transmitted(header)), event.id == id else {
            throw WorkDiffers(description: "data came to nothing on stream \(id)")
        }
        received += event.payload
        now += SessionPair.timePerFrame
        try dialerReceives(acceptor.consumed(id, count: event.payload, now: now))
    }

    mutating func close(_ id: StreamID) throws {
        if let finish = dialer.finish(id) { _ = try acceptor.receive(transmitted(finish)) }
        try dialerReceives(acceptor.finish(id))
        guard !dialer.isOpen(id), !acceptor.isOpen(id) else {
            throw WorkDiffers(description: "stream \(id) did not end")
        }
    }

    private mutating func dialerReceives(_ header: FrameHeader?) throws {
        if let header { _ = try dialer.receive(transmitted(header)) }
    }

    private func transmitted(_ header: FrameHeader) throws(FrameError) -> FrameHeader {
        var wire: (UInt64, UInt32) = (0, 0)
        return try withUnsafeMutableBytes(of: &wire) { bytes throws(FrameError) in
            if let base = bytes.baseAddress { header.write(to: base) }
            return try FrameHeader(UnsafeRawBufferPointer(bytes))
        }
    }
}

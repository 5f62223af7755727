import Testing
import Wire

@testable import Mux

private let kib = 1024
private let mib = 1024 * 1024

@Suite("Windows and credit")
struct WindowTests {
    @Test("a fresh stream may send 256 KiB, and not a byte more")
    func initialCredit() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        #expect(session.sendCredit(id) == 262_144)
        #expect(session.send(id, count: 262_145) == nil)
        #expect(session.sendCredit(id) == 262_144)
        #expect(session.send(id, count: 262_144)?.length == 262_144)
        #expect(session.sendCredit(id) == 0)
        #expect(session.send(id, count: 1) == nil)
        #expect(session.send(id, count: 0) == FrameHeader(.data, streamID: id, length: 0))
    }

    @Test("a count that no frame can carry sends nothing and costs nothing", arguments: [-1, Int.min, Int.max])
    func impossibleCount(count: Int) throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        #expect(session.send(id, count: count) == nil)
        #expect(session.grant(id, count: count) == nil)
        #expect(session.sendCredit(id) == 262_144)
    }

    @Test("credit adds up to 2^32 - 1 bytes, and one more ends the session")
    func creditOverflow() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        let room = UInt32.max - 262_144
        #expect(try session.receive(FrameHeader(.windowUpdate, streamID: id, length: room - 1)).credit == Int(room - 1))
        #expect(try session.receive(FrameHeader(.windowUpdate, streamID: id, length: 1)).credit == 1)
        #expect(session.sendCredit(id) == 4_294_967_295)
        #expect(throws: SessionError.creditOverflow(id)) {
            try session.receive(FrameHeader(.windowUpdate, streamID: id, length: 1))
        }
    }

    @Test("received data is debited to the byte")
    func debit() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        for length: UInt32 in [1, 100_000, 162_143] {
            #expect(try session.receive(FrameHeader(.data, streamID: id, length: length)).payload == Int(length))
        }
        #expect(try session.receive(FrameHeader(.data, streamID: id, length: 0)).payload == 0)
        let excess = FrameHeader(.data, streamID: id, length: 1)
        guard case .reset(id, .dataBeyondWindow, _, discard: 1) = try session.receive(excess) else {
            Issue.record("a byte beyond the window was taken")
            return
        }
    }

    @Test("receiving alone returns no credit; consuming does, from half a window on")
    func credit() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        _ = try session.receive(FrameHeader(.data, streamID: id, length: 262_144))
        #expect(session.streams[id]?.receiveWindow.remaining == 0)
        #expect(session.consumed(id, count: 131_071).update == nil)
        #expect(
            session.consumed(id, count: 1).update == FrameHeader(.windowUpdate, streamID: id, length: 131_072))
        #expect(session.streams[id]?.receiveWindow.remaining == 131_072)
    }

    @Test("granted credit is passed on at once, whatever the window")
    func grant() throws {
        var session = Session(role: .dialer)
        let (id, _) = try session.open()
        #expect(session.grant(id, count: 1) == FrameHeader(.windowUpdate, streamID: id, length: 1))
        #expect(session.grant(id, count: 16 * mib)?.length == UInt32(16 * mib))
        #expect(session.grant(id, count: 0) == nil)
        let all = FrameHeader(.data, streamID: id, length: UInt32(262_144 + 1 + 16 * mib))
        #expect(try session.receive(all).payload == 262_145 + 16 * mib)
        guard case .reset = try session.receive(FrameHeader(.data, streamID: id, length: 1)) else {
            Issue.record("a byte beyond what was granted was taken")
            return
        }
    }

    @Test("a window doubles when a round trip consumed half of it")
    func growth() throws {
        var reader = try Reader()
        let ping = try #require(reader.consume(128 * kib).ping)
        #expect(ping.flags == .syn)
        #expect(ping.length >= RoundTrips.mark)
        // Half a window, in two parts, within the round trip.
        #expect(reader.consume(64 * kib).ping == nil)
        #expect(reader.consume(64 * kib).ping == nil)
        #expect(reader.size == 256 * kib)
        try reader.answer(ping)
        let after = reader.consume(1)
        #expect(reader.size == 512 * kib)
        // The new half goes out at once, with what was owed.
        #expect(after.update?.length == UInt32(256 * kib + 1))
        #expect(after.ping != nil)
    }

    @Test("a stream that carries a session widens by the session's round trips")
    func widening() throws {
        var session = Session(role: .acceptor)
        let id = StreamID(1)
        _ = try session.receive(FrameHeader(.windowUpdate, flags: .syn, streamID: id, length: 0))
        let short = session.widen(id, consumedInRoundTrip: 128 * kib - 1)
        #expect(short == nil)
        let update = session.widen(id, consumedInRoundTrip: 128 * kib)
        #expect(update == FrameHeader(.windowUpdate, streamID: id, length: UInt32(256 * kib)))
        #expect(session.grown == 256 * kib)
        // What was widened may be sent: twice the initial window, and not a byte more.
        let all = FrameHeader(.data, streamID: id, length: UInt32(512 * kib))
        let taken = try session.receive(all)
        #expect(taken == .stream(StreamEvent(id: id, payload: 512 * kib)))
        guard case .reset = try session.receive(FrameHeader(.data, streamID: id, length: 1)) else {
            Issue.record("a byte beyond what was granted was taken")
            return
        }
        let late = session.widen(id, consumedInRoundTrip: 512 * kib)
        #expect(late == nil)
    }

    @Test("a byte less than half a window in a round trip, and it stays")
    func noGrowth() throws {
        var reader = try Reader()
        let ping = try #require(reader.consume(128 * kib).ping)
        _ = reader.consume(128 * kib - 1)
        try reader.answer(ping)
        _ = reader.consume(1)
        #expect(reader.size == 256 * kib)
    }

    @Test("what was consumed in one round trip does not count in the next")
    func roundTripsApart() throws {
        var reader = try Reader()
        for _ in 0..<20 {
            let ping = try #require(reader.consume(128 * kib).ping)
            // A quarter of the window within the round trip, a quarter after it.
            _ = reader.consume(64 * kib)
            try reader.answer(ping)
        }
        #expect(reader.size == 256 * kib)
    }

    @Test("a reader that is slow against the round trip never grows, however much it reads in the end")
    func slowReader() throws {
        var reader = try Reader()
        for _ in 0..<100 {
            for _ in 0..<16 {
                if let ping = reader.consume(8 * kib).ping { try reader.answer(ping) }
            }
        }
        #expect(reader.size == 256 * kib)
        #expect(reader.session.grown == 0)
    }

    @Test("a peer that never answers pings gets no growth, and only one ping")
    func silentPeer() throws {
        var reader = try Reader()
        let pings = (0..<200).compactMap { _ in reader.consume(64 * kib).ping }
        #expect(pings.count == 1)
        #expect(reader.size == 256 * kib)
    }

    @Test("a window grows to 16 MiB and no further")
    func largestWindow() throws {
        var reader = try Reader(limits: Limits(growthBudget: 1024 * mib))
        #expect(try reader.consumeFast(rounds: 30) == 16 * mib)
        #expect(reader.consume(16 * mib).ping == nil, "nothing is left to find out")
    }

    @Test("a largest window that is no power of two is met exactly")
    func oddLargestWindow() throws {
        var reader = try Reader(limits: Limits(largestWindow: 600 * kib))
        #expect(try reader.consumeFast(rounds: 10) == 600 * kib)
    }

    @Test("a largest window below the initial one takes nothing away")
    func tinyLargestWindow() throws {
        var reader = try Reader(limits: Limits(largestWindow: 1))
        #expect(try reader.consumeFast(rounds: 10) == 256 * kib)
    }

    @Test("windows together grow by no more than the budget, and give it back when a stream goes")
    func budget() throws {
        var reader = try Reader(limits: Limits(growthBudget: 1 * mib))
        #expect(try reader.consumeFast(rounds: 20) == 256 * kib + 1 * mib)
        #expect(reader.session.grown == 1 * mib)
        let first = reader.id
        reader.id = try reader.session.open().0
        #expect(try reader.consumeFast(rounds: 20) == 256 * kib)
        _ = reader.session.reset(first)
        #expect(reader.session.grown == 0)
        #expect(try reader.consumeFast(rounds: 20) == 256 * kib + 1 * mib)
    }

    @Test("a stream that grew gives its budget back however it goes", arguments: ["rst", "fins", "beyond"])
    func budgetReturned(ending: String) throws {
        var reader = try Reader()
        #expect(try reader.consumeFast(rounds: 3) > 256 * kib)
        let id = reader.id
        switch ending {
        case "rst":
            _ = try reader.session.receive(FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0))
        case "fins":
            _ = reader.session.finish(id)
            _ = try reader.session.receive(FrameHeader(.windowUpdate, flags: .fin, streamID: id, length: 0))
        default:
            _ = try reader.session.receive(FrameHeader(.data, streamID: id, length: .max))
        }
        #expect(!reader.session.isOpen(id))
        #expect(reader.session.grown == 0)
    }

    @Test("streams that take turns grow alike: the one that begins a round trip does not keep the other from asking")
    func fairness() throws {
        var reader = try Reader(limits: Limits(growthBudget: 1024 * mib))
        let first = reader.id
        let second = try reader.session.open().0
        var ping = try #require(reader.consume(128 * kib).ping)
        for _ in 0..<10 {
            // Each reads as much as it may in the round trip, and the first stream is always first after it.
            reader.consumeWhole(first)
            reader.consumeWhole(second)
            try reader.answer(ping)
            guard let next = reader.consume(reader.size(of: first)).ping else { break }
            ping = next
        }
        #expect(reader.size(of: first) > 256 * kib)
        #expect(reader.size(of: second) > 256 * kib)
    }

    @Test("one round trip is measured at a time, and only its own answer ends it")
    func roundTrips() {
        var trips = RoundTrips()
        let begun = [trips.begin(), trips.begin()]
        #expect(begun == [RoundTrips.mark | 1, nil])
        let strays = [trips.end(with: RoundTrips.mark | 2), trips.end(with: 1)]
        #expect(strays == [false, false])
        #expect(trips.lastMeasured == 0)
        let ended = [trips.end(with: RoundTrips.mark | 1), trips.end(with: RoundTrips.mark | 1)]
        #expect(ended == [true, false])
        #expect(trips.lastMeasured == 0)
        let counts = trips.took(nanoseconds: 1)
        #expect(counts)
        #expect(trips.lastMeasured == 1)
        let next = trips.begin()
        #expect(next == RoundTrips.mark | 2)
    }

    @Test("a round trip that a queue stretches does not count")
    func stretched() {
        var trips = RoundTrips()
        /// The shortest first: 30 ms; then up to twice that and 2 ms count.
        let counted = [30_000_000, 62_000_000, 62_000_004, 900_000_000, 40_000_000].map { (time: Int64) in
            let value = trips.begin() ?? 0
            let ended = trips.end(with: value)
            #expect(ended)
            return trips.took(nanoseconds: time)
        }
        #expect(counted == [true, true, false, false, true])
        #expect(trips.lastMeasured == 5)
    }

    @Test("a window does not grow by a round trip that was stretched")
    func noGrowthByQueue() throws {
        var reader = try Reader()
        let first = try #require(reader.consume(128 * kib).ping)
        try reader.answer(first)
        let second = try #require(reader.consume(128 * kib).ping)
        _ = reader.consume(128 * kib)
        let pong = FrameHeader(.ping, flags: .ack, streamID: .session, length: second.length)
        let ended = try reader.session.receive(pong)
        #expect(ended == .roundTripEnded)
        let counts = reader.session.roundTripTook(nanoseconds: 100_000_000)
        #expect(!counts)
        _ = reader.consume(1)
        #expect(reader.size == 256 * kib)
    }

    @Test("a keepalive's value never meets a growth ping's")
    func pingValues() {
        let session = Session(role: .dialer)
        #expect(session.ping(0x7fff_ffff).length == 0x7fff_ffff)
        #expect(session.ping(.max).length == 0x7fff_ffff)
    }
}

/// One side of a session whose stream receives what it consumes.
private struct Reader {
    var session: Session
    var id: StreamID

    init(limits: Limits = Limits()) throws {
        session = Session(role: .dialer, limits: limits)
        id = try session.open().0
    }

    var size: Int { size(of: id) }

    func size(of id: StreamID) -> Int { session.streams[id]?.receiveWindow.size ?? 0 }

    mutating func consume(_ count: Int) -> CreditAction { session.consumed(id, count: count) }

    mutating func consumeWhole(_ id: StreamID) { _ = session.consumed(id, count: size(of: id)) }

    mutating func answer(_ ping: FrameHeader) throws {
        let pong = FrameHeader(.ping, flags: .ack, streamID: .session, length: ping.length)
        let action = try session.receive(pong)
        #expect(action == .roundTripEnded)
        let counts = session.roundTripTook(nanoseconds: 1_000_000)
        #expect(counts)
    }

    /// Consumes a whole window in each of a number of round trips, and returns what it grew to.
    mutating func consumeFast(rounds: Int) throws -> Int {
        for _ in 0..<rounds {
            let ping = consume(size).ping
            _ = consume(size)
            if let ping { try answer(ping) }
        }
        _ = consume(1)
        return size
    }
}

extension ReceiveAction {
    fileprivate var credit: Int? {
        guard case .stream(let event) = self else { return nil }
        return event.credit
    }
}

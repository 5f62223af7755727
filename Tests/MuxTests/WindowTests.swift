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
        #expect(session.consumed(id, count: 131_071, now: 0) == nil)
        #expect(
            session.consumed(id, count: 1, now: 0) == FrameHeader(.windowUpdate, streamID: id, length: 131_072))
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

    @Test("a window doubles when half of it is consumed within two round trips")
    func growth() throws {
        var reader = try Reader(roundTrip: 10 * millisecond)
        #expect(reader.consume(128 * kib, after: 0) == UInt32(128 * kib))
        #expect(reader.consume(64 * kib, after: 10 * millisecond) == nil)
        // The new half goes out at once, with what was owed.
        #expect(reader.consume(64 * kib, after: 10 * millisecond - 1) == UInt32(384 * kib))
        #expect(reader.size == 512 * kib)
        #expect(reader.session.grown == 256 * kib)
    }

    @Test("a nanosecond slower, and it stays")
    func noGrowth() throws {
        var reader = try Reader(roundTrip: 10 * millisecond)
        _ = reader.consume(128 * kib, after: 0)
        #expect(reader.consume(128 * kib, after: 20 * millisecond) == UInt32(128 * kib))
        #expect(reader.size == 256 * kib)
    }

    @Test("the shortest round trip counts, not the last: a queue is no reason to queue more")
    func shortestCounts() throws {
        var reader = try Reader(roundTrip: 10 * millisecond)
        reader.session.measured(roundTrip: 900 * millisecond)
        for _ in 0..<50 { _ = reader.consume(128 * kib, after: 20 * millisecond) }
        #expect(reader.size == 256 * kib)
    }

    @Test("on the shortest of paths four milliseconds are fast")
    func floor() throws {
        var fast = try Reader(roundTrip: 1000)
        for _ in 0..<2 { _ = fast.consume(128 * kib, after: 4 * millisecond - 1) }
        #expect(fast.size == 512 * kib)
        var slow = try Reader(roundTrip: 1000)
        for _ in 0..<50 { _ = slow.consume(128 * kib, after: 4 * millisecond) }
        #expect(slow.size == 256 * kib)
    }

    @Test("while another stream is busy, a window comes down to 512 KiB on a short path")
    func shared() throws {
        var reader = try Reader(roundTrip: millisecond)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        try reader.exchange(on: reader.session.open().0)
        // Credit is kept until it has: nothing of 2 MiB consumed and then of 1 MiB goes back.
        #expect(reader.consume(2 * mib, after: 20 * millisecond) == nil)
        #expect(reader.size == 2 * mib)
        #expect(reader.consume(1 * mib, after: 20 * millisecond) == nil)
        // Of the last, only what it has to come down by.
        #expect(reader.consume(768 * kib, after: 20 * millisecond) == UInt32(256 * kib))
        #expect(reader.size == 512 * kib)
        for _ in 0..<20 { #expect(reader.consume(256 * kib, after: 3 * millisecond) == UInt32(256 * kib)) }
        #expect(reader.size == 512 * kib)
        #expect(reader.session.grown == 256 * kib)
    }

    @Test("a shared window keeps what its pace is worth in a millisecond and a half")
    func sharedFast() throws {
        var reader = try Reader(roundTrip: millisecond / 10)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        try reader.exchange(on: reader.session.open().0)
        // 1 MiB a millisecond.
        for _ in 0..<20 {
            let half = reader.size / 2
            _ = reader.consume(half, after: Int64(half) * millisecond / Int64(mib))
        }
        #expect(reader.size == mib * 3 / 2)
    }

    @Test("300 ms after the others were busy last, it grows again")
    func alone() throws {
        var reader = try Reader(roundTrip: millisecond / 10)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        try reader.exchange(on: reader.session.open().0)
        for _ in 0..<4 { _ = reader.consume(reader.size / 2, after: 20 * millisecond) }
        #expect(reader.size == 512 * kib)
        _ = reader.consume(256 * kib, after: 300 * millisecond)
        // Not at once, for it was slow just now; when its pace is known to be fast, in one step.
        for _ in 0..<3 { #expect(reader.consume(256 * kib, after: millisecond) == UInt32(256 * kib)) }
        #expect(reader.consume(256 * kib, after: millisecond) == UInt32(256 * kib + 4 * mib - 512 * kib))
    }

    @Test("on a long path a shared window keeps what its pace needs")
    func sharedLongPath() throws {
        var reader = try Reader(roundTrip: 80 * millisecond)
        #expect(try reader.consumeFast(rounds: 7) == 16 * mib)
        try reader.exchange(on: reader.session.open().0)
        // 100 MiB a second: a round trip holds 8 MiB.
        for _ in 0..<50 { _ = reader.consume(reader.size / 2, after: 80 * millisecond) }
        #expect(reader.size >= 8 * mib)
    }

    @Test("after a pause a window starts small again")
    func pause() throws {
        var reader = try Reader(roundTrip: millisecond)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        #expect(reader.consume(2 * mib, after: 10_001 * millisecond) == nil)
        #expect(reader.size == 2 * mib)
        #expect(reader.session.grown == 2 * mib - 256 * kib)
    }

    @Test("a stream that carries a session grows by that session's round trip")
    func carried() throws {
        var reader = try Reader(roundTrip: millisecond)
        reader.session.measured(roundTrip: 40 * millisecond, carriedOn: reader.id)
        for _ in 0..<2 { _ = reader.consume(128 * kib, after: 79 * millisecond) }
        #expect(reader.size == 512 * kib)
        let other = try reader.session.open().0
        for _ in 0..<2 { _ = reader.consume(128 * kib, of: other, after: 79 * millisecond) }
        #expect(reader.size(of: other) == 256 * kib)
    }

    @Test("a reader that is held up and then catches up is not fast")
    func bursts() throws {
        var reader = try Reader(roundTrip: millisecond)
        _ = reader.consume(128 * kib, after: 0)
        for _ in 0..<50 {
            _ = reader.consume(128 * kib, after: 40 * millisecond)
            _ = reader.consume(128 * kib, after: 1000)
        }
        #expect(reader.size == 256 * kib)
    }

    @Test("a round trip of no time or of years neither traps nor stops growth at its bounds")
    func absurdTimes() throws {
        for time in [Int64.min, -1, 0, .max] {
            var reader = try Reader(roundTrip: time)
            reader.session.measured(roundTrip: time, carriedOn: reader.id)
            #expect(try reader.consumeFast(rounds: 3) > 256 * kib)
        }
    }

    @Test("the next stream that is held back goes in one step to the window that another has earned")
    func leap() throws {
        var reader = try Reader(roundTrip: 10 * millisecond)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        reader.id = try reader.session.open().0
        _ = reader.consume(128 * kib, after: 0)
        #expect(reader.size == 256 * kib, "not before it has shown that it is held back")
        _ = reader.consume(128 * kib, after: millisecond)
        #expect(reader.size == 4 * mib)
    }

    @Test("a stream that carries a session neither leaps nor lets others leap")
    func noLeapForCarriers() throws {
        var reader = try Reader(roundTrip: 10 * millisecond)
        reader.session.measured(roundTrip: 10 * millisecond, carriedOn: reader.id)
        #expect(try reader.consumeFast(rounds: 5) == 4 * mib)
        reader.id = try reader.session.open().0
        for _ in 0..<2 { _ = reader.consume(128 * kib, after: millisecond) }
        #expect(reader.size == 512 * kib)
    }

    @Test("a slow reader never grows, however much it reads in the end")
    func slowReader() throws {
        var reader = try Reader(roundTrip: millisecond)
        for _ in 0..<1000 { _ = reader.consume(8 * kib, after: millisecond) }
        #expect(reader.size == 256 * kib)
        #expect(reader.session.grown == 0)
    }

    @Test("a window grows to 16 MiB and no further")
    func largestWindow() throws {
        var reader = try Reader(limits: Limits(growthBudget: 1024 * mib))
        #expect(try reader.consumeFast(rounds: 30) == 16 * mib)
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

    @Test("a window grows by no more than what a shared budget has to spare")
    func spare() throws {
        var reader = try Reader(roundTrip: millisecond)
        _ = reader.consume(128 * kib, after: 0)
        let update = reader.session.consumed(reader.id, count: 128 * kib, now: 0, spare: 100 * kib)
        #expect(update?.length == UInt32(228 * kib))
        #expect(reader.session.grown == 100 * kib)
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
}

private let millisecond: Int64 = 1_000_000

/// One side of a session whose stream receives what it consumes, and a clock.
private struct Reader {
    var session: Session
    var id: StreamID
    var now: Int64 = 0

    init(limits: Limits = Limits(), roundTrip: Int64 = 100 * millisecond) throws {
        session = Session(role: .dialer, limits: limits)
        id = try session.open().0
        session.measured(roundTrip: roundTrip)
    }

    var size: Int { size(of: id) }

    func size(of id: StreamID) -> Int { session.streams[id]?.receiveWindow.size ?? 0 }

    /// Payload moves on the stream of the reader, on another, and on the reader's again.
    mutating func exchange(on other: StreamID) throws {
        for id in [id, other, id] { #expect(session.send(id, count: 1) != nil) }
    }

    /// The credit that goes out when `count` bytes are consumed some time after the last.
    mutating func consume(_ count: Int, of other: StreamID? = nil, after time: Int64) -> UInt32? {
        now += time
        return session.consumed(other ?? id, count: count, now: now)?.length
    }

    /// Consumes whole windows in no time, and returns what they grew to.
    mutating func consumeFast(rounds: Int) throws -> Int {
        for _ in 0..<rounds {
            let credit = consume(size, after: 0)
            #expect(credit != nil)
        }
        return size
    }
}

extension ReceiveAction {
    fileprivate var credit: Int? {
        guard case .stream(let event) = self else { return nil }
        return event.credit
    }
}

import Wire

/// What the peer may send on one stream, and what of it we owe back. Counted in payload bytes of data frames.
///
/// A window that is consumed fast against the round trip holds its sender back, and doubles: when half of it was consumed
/// within twice the *shortest* round trip. Against the shortest, because a round trip that is long for what is queued on
/// the way is no reason to queue more; consumed, not received, so that a slow reader's never grows. A reader that was held
/// up and then catches up is not fast: its pace over a longer time counts too.
///
/// What is in flight on one stream is in the way of all others of its session. So while several are busy, and after a
/// pause, a window comes down to what its pace and the path need: credit that falls due is kept until it has.
struct ReceiveWindow {
    /// Half a window consumed in less time than this is always fast, in nanoseconds: on a short path it is the hosts'
    /// work and their schedulers, not the distance, that a window has to cover.
    static let leastTime: Int64 = 4_000_000
    /// A window that comes down keeps what its pace is worth in this time, in nanoseconds, and so many bytes. They decide
    /// between the delay of the others and the speed of a bulk transfer beside them; see Docs/PERFORMANCE.md.
    static let sharedTime: Int64 = 1_500_000
    static let leastShared = 512 * 1024
    /// After so many nanoseconds without credit falling due, a stream has paused.
    static let pause: Int64 = 10_000_000_000

    /// What the peer may have in flight at most.
    private(set) var size = Protocol.initialWindow
    /// What it may still send now.
    private(set) var remaining = Protocol.initialWindow
    /// Consumed, and not given back yet.
    private(set) var owed = 0
    /// The shortest round trip of the session that the stream carries, in nanoseconds; 0 if it carries none.
    var carriedRoundTrip: Int64 = 0
    /// When credit fell due the last time, in nanoseconds.
    private var lastDue: Int64?
    /// Bytes consumed in a nanosecond, over a round trip or more; nil before so much time has passed.
    private var pace: Double?
    /// Since when, and how many bytes, for the next such figure.
    private var paceStart: Int64 = 0
    private var paceBytes = 0

    /// What became of a window's size when credit fell due.
    enum Verdict: Equatable {
        case fits
        /// It holds the sender back, and may grow to this.
        case isSmall(limit: Int)
        /// It has come down by so much.
        case shrank(by: Int)
    }

    /// Debits received data. False when the peer sent more than it may.
    mutating func take(_ count: Int) -> Bool {
        guard count <= remaining else { return false }
        remaining -= count
        return true
    }

    mutating func consumed(_ count: Int) {
        owed += count
    }

    /// Credit is worth a frame once half the window is owed.
    var isDue: Bool { owed * 2 >= size }

    /// Notes that credit is due and judges the window's size; `isShared` says that other streams are busy too.
    mutating func fellDue(at now: Int64, roundTrip: Int64, isShared: Bool) -> Verdict {
        defer { lastDue = now }
        guard let lastDue else {
            paceStart = now
            return .fits
        }
        let took = now - lastDue
        let roundTrip = max(roundTrip, carriedRoundTrip)
        measurePace(at: now, over: max(roundTrip, ReceiveWindow.leastTime))
        var limit = Protocol.largestWindow
        if isShared || took > ReceiveWindow.pause {
            let time = max(2 * roundTrip, ReceiveWindow.sharedTime)
            limit = max(Int(min((pace ?? 0) * Double(time), Double(limit))), ReceiveWindow.leastShared)
        }
        if size > limit {
            let excess = min(size - limit, owed)
            size -= excess
            owed -= excess
            return .shrank(by: excess)
        }
        let fast = max(2 * roundTrip, ReceiveWindow.leastTime)
        guard took < fast, pace.map({ Double(size) <= 2 * $0 * Double(fast) }) ?? true else { return .fits }
        return .isSmall(limit: limit)
    }

    private mutating func measurePace(at now: Int64, over least: Int64) {
        paceBytes += owed
        guard now - paceStart >= least else { return }
        pace = Double(paceBytes) / Double(now - paceStart)
        paceStart = now
        paceBytes = 0
    }

    /// Makes the window larger; the added part goes out with the next credit.
    mutating func grow(by count: Int) {
        size += count
        owed += count
    }

    /// Everything owed, which is the peer's from now on.
    mutating func giveBack() -> Int {
        defer { owed = 0 }
        remaining += owed
        return owed
    }

    /// Credit that comes from beyond (a spliced stream): passed on as it is, whatever the size.
    mutating func grant(_ count: Int) {
        remaining += count
    }
}

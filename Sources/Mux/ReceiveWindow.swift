import Wire

/// What the peer may send on one stream, and what of it we owe back. Counted in payload bytes of data frames.
///
/// A window that is consumed fast against the round trip holds its sender back, and doubles: when half of it was consumed
/// within twice the *shortest* round trip. Against the shortest, because a round trip that is long for what is queued on
/// the way is no reason to queue more; consumed, not received, so that a slow reader's never grows.
struct ReceiveWindow {
    /// Half a window consumed in less time than this is always fast, in nanoseconds: on a short path it is the hosts'
    /// work, not the distance, that a window has to cover.
    static let leastTime: Int64 = 1_000_000

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

    /// Notes that credit is due, and says whether it was so again too soon for the window's size.
    mutating func fellDue(at now: Int64, roundTrip: Int64) -> Bool {
        defer { lastDue = now }
        guard let lastDue else { return false }
        return now - lastDue < max(2 * max(roundTrip, carriedRoundTrip), ReceiveWindow.leastTime)
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

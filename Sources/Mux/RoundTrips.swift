/// The round trips in which consumption is measured, one at a time, each with a number of its own.
struct RoundTrips {
    /// Set in the value of every growth ping, so that it never meets a keepalive's.
    static let mark: UInt32 = 1 << 31
    /// What a round trip may take beyond twice the shortest one and still count: time in which hosts are busy, not queues
    /// long.
    static let tolerance: Int64 = 2_000_000

    /// The one whose ping is out.
    private(set) var underMeasurement: UInt32?
    /// The last one that counts; 0 before the first. A stream may ask about it while the next is under way, or the stream
    /// that begins each round trip would keep all others from growing.
    private(set) var lastMeasured: UInt32 = 0
    private var lastBegun: UInt32 = 0
    private var shortest = Int64.max

    /// The value for a ping to send now; nil while one is out.
    mutating func begin() -> UInt32? {
        guard underMeasurement == nil else { return nil }
        lastBegun = lastBegun == RoundTrips.mark - 1 ? 1 : lastBegun + 1
        underMeasurement = lastBegun
        return RoundTrips.mark | lastBegun
    }

    /// Whether `value` answers the ping that is out.
    mutating func end(with value: UInt32) -> Bool {
        guard let current = underMeasurement, value == RoundTrips.mark | current else { return false }
        underMeasurement = nil
        return true
    }

    /// Takes the time of the round trip that has just ended, and says whether it counts: one that was long because of what
    /// was queued on the way is no reason to send yet more at once.
    mutating func took(nanoseconds: Int64) -> Bool {
        shortest = min(shortest, max(0, nanoseconds))
        guard nanoseconds / 2 - RoundTrips.tolerance / 2 <= shortest else { return false }
        lastMeasured = lastBegun
        return true
    }
}

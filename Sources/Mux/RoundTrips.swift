/// The round trips in which consumption is measured, one at a time, each with a number of its own.
struct RoundTrips {
    /// Set in the value of every growth ping, so that it never meets a keepalive's.
    static let mark: UInt32 = 1 << 31

    /// The one whose ping is out.
    private(set) var underMeasurement: UInt32?
    /// The last one whose ping came back; 0 before the first. A stream may ask about it while the next is under way, or
    /// the stream that begins each round trip would keep all others from growing.
    private(set) var lastMeasured: UInt32 = 0

    /// The value for a ping to send now; nil while one is out.
    mutating func begin() -> UInt32? {
        guard underMeasurement == nil else { return nil }
        let next = lastMeasured == RoundTrips.mark - 1 ? 1 : lastMeasured + 1
        underMeasurement = next
        return RoundTrips.mark | next
    }

    /// Whether `value` answers the ping that is out.
    mutating func end(with value: UInt32) -> Bool {
        guard let current = underMeasurement, value == RoundTrips.mark | current else { return false }
        underMeasurement = nil
        lastMeasured = current
        return true
    }
}

/// How often something may happen: a bucket that holds `burst` and is filled at `perSecond`. It begins full.
///
/// The clock is asked only when the bucket is empty, so that what stays far below its limit pays for a subtraction.
package struct RateLimit: Sendable {
    private let perSecond: Double
    private let burst: Double
    private var left: Double
    /// In nanoseconds of a monotonic clock.
    private var filledAt: Int64

    /// `now` is a monotonic time in nanoseconds. Without `burst`, what comes in a second may come at once.
    package init(perSecond: Int, burst: Int? = nil, now: Int64) {
        self.perSecond = Double(perSecond)
        self.burst = Double(burst ?? perSecond)
        left = self.burst
        filledAt = now
    }

    /// Whether `count` more may happen now; if not, they count as not having happened.
    package mutating func take(_ count: Int = 1, now: @autoclosure () -> Int64) -> Bool {
        if left < Double(count) {
            let now = now()
            left = min(burst, left + Double(max(0, now - filledAt)) / 1e9 * perSecond)
            filledAt = now
            guard left >= Double(count) else { return false }
        }
        left -= Double(count)
        return true
    }
}

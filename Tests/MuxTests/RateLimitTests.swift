import Testing

@testable import Mux

@Suite struct `a rate limit` {
    private static let second: Int64 = 1_000_000_000

    @Test func `lets its burst through at once, and no more`() {
        var limit = RateLimit(perSecond: 10, burst: 3, now: 0)
        let taken = (0..<4).map { _ in limit.take(now: 0) }
        #expect(taken == [true, true, true, false])
    }

    @Test func `is filled at its rate, by the smallest steps too, and up to its burst`() {
        var limit = RateLimit(perSecond: 10, burst: 3, now: 0)
        let burst = limit.take(3, now: 0)
        // Asked a thousand times in 99 ms, it must not lose the fractions.
        let early = (0..<1000).filter { limit.take(now: Int64($0) * 99_000) }
        let due = limit.take(now: Self.second / 10)
        let afterLong = (limit.take(4, now: 100 * Self.second), limit.take(3, now: 100 * Self.second))
        #expect(burst)
        #expect(early.isEmpty)
        #expect(due)
        #expect(afterLong == (false, true))
    }

    @Test func `does not count what it does not let through`() {
        var limit = RateLimit(perSecond: 10, burst: 10, now: 0)
        let taken = (limit.take(11, now: 0), limit.take(10, now: 0))
        #expect(taken == (false, true))
    }

    @Test func `bears a clock that stands still or goes back`() {
        var limit = RateLimit(perSecond: 10, burst: 1, now: 5 * Self.second)
        let taken = [5 * Self.second, 5 * Self.second, 0].map { limit.take(now: $0) }
        #expect(taken == [true, false, false])
    }
}

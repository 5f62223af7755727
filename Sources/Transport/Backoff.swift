package import NIOCore

/// Delays between attempts: they double up to a limit, and each is drawn at random from its upper half so that a
/// thousand peers that lost the same relay do not come back at once.
package struct Backoff: Sendable {
    private let first: TimeAmount
    private let limit: TimeAmount
    private var ceiling: TimeAmount

    /// `first` and `limit` are positive.
    package init(first: TimeAmount = .milliseconds(20), limit: TimeAmount = .seconds(30)) {
        self.first = first
        self.limit = limit
        ceiling = first
    }

    /// The delay before the next attempt.
    package mutating func next() -> TimeAmount {
        defer { ceiling = min(limit, ceiling * 2) }
        return .nanoseconds(Int64.random(in: ceiling.nanoseconds / 2...ceiling.nanoseconds))
    }

    /// After a success the next failure starts over.
    package mutating func reset() {
        ceiling = first
    }
}

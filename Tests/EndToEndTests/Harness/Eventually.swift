import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Whether `condition` becomes true in time. It is asked every few milliseconds.
func eventually(within limit: Duration = Process.patience, _ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = ContinuousClock.now + limit * timeScale
    while true {
        if try condition() { return true }
        guard ContinuousClock.now < deadline else { return false }
        usleep(5_000)
    }
}

/// Runs `body` on a thread of its own, which may block, and keeps what comes of it.
final class Background<Value: Sendable>: Sendable {
    private let result = Monitor<Result<Value, any Error>?>(nil)

    init(_ body: @escaping @Sendable () throws -> Value) {
        startThread { [result] in
            let value = Result { try body() }
            result.change { $0 = value }
        }
    }

    var hasEnded: Bool { result.change { $0 != nil } }

    /// Waits for the end of `body`.
    ///
    /// - Throws: What `body` threw; `ProcessError` when time is up.
    @discardableResult
    func value(within limit: Duration = Process.patience) throws -> Value {
        guard let result = result.wait(within: limit, { $0 }) else { throw ProcessError("not done within \(limit)") }
        return try result.get()
    }
}

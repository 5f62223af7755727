import Logging
import Mux
import Synchronization

/// Log lines that strangers can cause at will, a few a second: a flood must not fill the disk that should tell of it.
final class LimitedLog: Sendable {
    private struct State {
        var rate: RateLimit
        var dropped = 0
    }

    private static let linesPerSecond = 10

    private let logger: Logger
    private let state: Mutex<State>

    init(_ logger: Logger) {
        self.logger = logger
        state = Mutex(State(rate: RateLimit(perSecond: LimitedLog.linesPerSecond)))
    }

    /// Says, in the first line that is written again, how many were not.
    func warning(_ line: @autoclosure () -> String) {
        let dropped: Int? = state.withLock { state in
            guard state.rate.take() else {
                state.dropped += 1
                return nil
            }
            defer { state.dropped = 0 }
            return state.dropped
        }
        guard let dropped else { return }
        if dropped > 0 { logger.warning("\(dropped) lines like the next were left out") }
        logger.warning("\(line())")
    }
}

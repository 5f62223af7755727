import Logging
import Transport

extension Logger {
    /// The one line that says why there is no link and when the next attempt is made.
    func logDisconnected(_ failure: LinkFailure, retryAfterMilliseconds delay: Int64) {
        warning("Disconnected: \(failure); trying again in \(secondsText(delay)) s")
    }
}

/// Seconds with one decimal: `0.3`, `12.0`.
func secondsText(_ milliseconds: Int64) -> String {
    let tenths = (milliseconds + 50) / 100
    return "\(tenths / 10).\(tenths % 10)"
}

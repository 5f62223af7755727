import Logging
import Transport

extension Logger {
    /// The one line that says why there is no link and when the next attempt is made.
    func logDisconnected(_ failure: LinkFailure, retryAfterMilliseconds delay: Int64) {
        warning("Disconnected: \(failure); trying again in \(secondsText(delay)) s")
    }
}

/// Seconds, with two decimals below one second and one above: `0.02`, `0.34`, `12.0`.
func secondsText(_ milliseconds: Int64) -> String {
    let hundredths = (milliseconds + 5) / 10
    if hundredths < 100 { return "0.\(hundredths / 10)\(hundredths % 10)" }
    let tenths = (milliseconds + 50) / 100
    return "\(tenths / 10).\(tenths % 10)"
}

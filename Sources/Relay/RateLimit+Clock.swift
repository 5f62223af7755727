import Mux
import NIOCore

/// By the clock of the machine.
extension RateLimit {
    init(perSecond: Int, burst: Int? = nil) {
        self.init(perSecond: perSecond, burst: burst, now: RateLimit.now)
    }

    mutating func take() -> Bool {
        take(now: RateLimit.now)
    }

    private static var now: Int64 { Int64(bitPattern: NIODeadline.now().uptimeNanoseconds) }
}

import NIOCore
import Wire

/// What becomes of a link's token while the link is up; for the log.
package enum TokenEvent: Sendable, Equatable {
    /// The relay says that it ends in so many seconds.
    case expiring(seconds: Int64)
    case renewed
    /// No other token could be had, or the relay does not take it. Told once for each reason.
    case notRenewed(reason: String)
}

/// Renews a link's token once the relay has said that it is about to expire: looks for another one every second, and offers it (PROTOCOL §4.3).
///
/// Lives on the link's event loop.
final class TokenRenewal {
    private static let pause = TimeAmount.seconds(1)

    /// What the relay knows us by.
    private(set) var token: String
    private let hello: @Sendable () throws -> Hello
    private let onEvent: @Sendable (TokenEvent) -> Void
    private let eventLoop: any EventLoop
    /// Set from the relay's first word on the matter to the link's end.
    private var offer: ((Renewal) -> Void)?
    /// The last one that was sent; whether it was taken is known once `isAnswered`.
    private var offered: String?
    private var isAnswered = true
    private var isWanted = false
    private var timer: Scheduled<Void>?
    private var lastReason: String?

    init(
        of token: String, hello: @escaping @Sendable () throws -> Hello,
        onEvent: @escaping @Sendable (TokenEvent) -> Void, on eventLoop: any EventLoop
    ) {
        self.token = token
        self.hello = hello
        self.onEvent = onEvent
        self.eventLoop = eventLoop
    }

    /// Looks for a token until one is taken. That the relay says so again meanwhile changes nothing, however often it does.
    ///
    /// - Parameter offer: Sends a renewal.
    func expires(inSeconds seconds: Int64, offer: @escaping (Renewal) -> Void) {
        guard !isWanted else { return }
        onEvent(.expiring(seconds: seconds))
        self.offer = offer
        isWanted = true
        look()
    }

    func received(_ answer: Answer<Accepted>) {
        guard !isAnswered, let offered else { return }
        isAnswered = true
        switch answer {
        case .accepted:
            token = offered
            isWanted = false
            lastReason = nil
            onEvent(.renewed)
        case .refused(let refusal):
            note(refusal.description)
            lookLater()
        }
    }

    func cancel() {
        timer?.cancel()
        offer = nil
    }

    private func look() {
        guard isWanted, isAnswered, let offer else { return }
        do {
            let next = try hello().token
            if next != token, next != offered {
                offered = next
                isAnswered = false
                return offer(Renewal(token: next))
            }
        } catch {
            note("\(error)")
        }
        lookLater()
    }

    private func lookLater() {
        timer?.cancel()
        timer = eventLoop.assumeIsolated().scheduleTask(in: TokenRenewal.pause) { [self] in look() }
    }

    private func note(_ reason: String) {
        guard reason != lastReason else { return }
        lastReason = reason
        onEvent(.notRenewed(reason: reason))
    }
}

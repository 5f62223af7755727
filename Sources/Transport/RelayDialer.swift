package import NIOCore
import Wire

/// Keeps a link to the relay: dials, serves, and dials again with backoff.
package struct RelayDialer: Sendable {
    /// A link that lasted less than this counts as another failed attempt.
    private static let steady = TimeAmount.seconds(10)

    private let dial: RelayDial

    /// Nothing is dialed before `keepLinked`.
    package init(_ dial: RelayDial) {
        self.dial = dial
    }

    /// Runs until the task is cancelled, then returns once the link is closed.
    ///
    /// - Parameters:
    ///   - prepare: called on `eventLoop` with each new link, before anything else happens on it.
    ///   - serve: runs for as long as the link is wanted, and says why it ended.
    ///   - onLost: told before each pause.
    ///   - givesUp: throw the first failure instead of trying again.
    ///
    /// Throws `LinkFailure` when trying again is pointless, and what `serve` and the dial's `hello` throw.
    package func keepLinked(
        on eventLoop: any EventLoop,
        prepare: @escaping @Sendable (RelayLink) -> Void = { _ in },
        serve: @Sendable (RelayLink) async throws -> LinkFailure,
        onLost: @Sendable (LinkFailure, TimeAmount) -> Void,
        givesUp: Bool = false
    ) async throws {
        var backoff = Backoff()
        while !Task.isCancelled {
            let failure: LinkFailure
            var isFinal: Bool
            do {
                let link = try await RelayLink.dial(dial, on: eventLoop, prepare: prepare)
                let begun = NIODeadline.now()
                failure = try await serve(link)
                isFinal = failure.isFinal && !(failure.isTokensEnd && hasAnotherToken(than: link))
                if NIODeadline.now() - begun > RelayDialer.steady { backoff.reset() }
            } catch let thrown as LinkFailure {
                failure = thrown
                isFinal = failure.isFinal
            }
            guard !Task.isCancelled else { return }
            if isFinal || givesUp { throw failure }
            let delay = backoff.next()
            onLost(failure, delay)
            do {
                try await Task.sleep(for: .nanoseconds(delay.nanoseconds))
            } catch {
                return
            }
        }
    }
}

extension RelayDialer {
    /// A token that ran out, or was revoked, is no reason to stop where another has been put in its place.
    private func hasAnotherToken(than link: RelayLink) -> Bool {
        guard let next = try? dial.hello().token else { return false }
        return !link.hadToken(next)
    }
}

extension LinkFailure {
    fileprivate var isTokensEnd: Bool {
        guard case .refused(let refusal) = self else { return false }
        return refusal.code == .tokenExpired || refusal.code == .tokenRevoked
    }

    /// Whether the same attempt must fail again until somebody changes a key, a token or an option.
    package var isFinal: Bool {
        switch self {
        case .untrusted, .keyRefused: true
        case .refused(let refusal): !refusal.code.isTransient
        case .unreachable, .handshake, .lost, .misbehaved: false
        }
    }
}

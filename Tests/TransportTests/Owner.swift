import TLSEngine
import Wire

@testable import Transport

/// Who owns a mux and cares for its beginning and for what the peer opens alone.
final class Owner: SecureMuxDelegate {
    private let onEstablished: () -> Void
    private let onOpened: (MuxStream) -> Void

    init(onEstablished: @escaping () -> Void = {}, onOpened: @escaping (MuxStream) -> Void = { $0.reset() }) {
        self.onEstablished = onEstablished
        self.onOpened = onOpened
    }

    func muxEstablished(peerKey: Fingerprint) { onEstablished() }
    func muxOpened(_ stream: MuxStream) { onOpened(stream) }
    func muxGoingAway(_ code: GoAwayCode) {}
    func muxEnded(_ failure: LinkFailure) {}
}

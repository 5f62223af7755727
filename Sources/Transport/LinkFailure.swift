package import Wire

/// Why a link or a session could not be had, or ended.
package enum LinkFailure: Error, Sendable {
    /// Name lookup, connect, or silence: the environment.
    case unreachable(address: HostPort, reason: String)
    /// Our own check refused the peer's key or certificate.
    case untrusted(reason: String, peerKey: Fingerprint?)
    /// The peer refused our key.
    case keyRefused(reason: String)
    /// TLS failed for another reason.
    case handshake(reason: String)
    /// The peer said no.
    case refused(Refusal)
    /// It was established, and ended.
    case lost(reason: String)
    /// The peer broke the protocol.
    case misbehaved(reason: String)
}

/// One line for people, the same in an error and in the log.
extension LinkFailure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .unreachable(let address, let reason): "cannot reach \(address): \(reason)"
        case .untrusted(let reason, _), .keyRefused(let reason): reason
        case .handshake(let reason): "TLS handshake failed: \(reason)"
        case .refused(let refusal): refusal.description
        case .lost(let reason): "connection lost: \(reason)"
        case .misbehaved(let reason): "the peer broke the protocol: \(reason)"
        }
    }
}

/// What a peer presented, as far as can be known before the handshake ends: that it also holds the key is proven by the
/// signature that follows, and a handshake without that signature fails by itself.
package struct PeerCertificate: Sendable {
    /// The key of the peer's leaf certificate.
    package let fingerprint: Fingerprint
    /// What the context's authorities say of it.
    package internal(set) var authorityVerdict: AuthorityVerdict
    let rotation: Rotation?

    /// The keys that lead to this one, each having signed its successor, the newest first. Costs a verification for each, so ask
    /// only where it matters.
    package var predecessors: [Fingerprint] { rotation?.predecessors ?? [] }
}

/// What certificate authorities say of a peer.
package enum AuthorityVerdict: Equatable, Sendable {
    /// Nobody has asked them.
    case notAsked
    /// The chain leads to one of them and, on the client's side, names the server that was asked for.
    case genuine
    /// A reason, OpenSSL's `self-signed certificate` or `hostname mismatch` for example.
    case failure(String)
}

/// The answer to whether a handshake may go on.
package enum PeerVerdict: Sendable {
    /// The handshake goes on.
    case accept
    /// The handshake ends with the alert `bad_certificate`; the reason stays on this side, in `TLSError.peerRejected`.
    case reject(reason: String)
    /// The check is to be called once more, with what the context's authorities say.
    case askAuthorities
}

/// Judges a peer. Called once a handshake, and once more if it asks for the authorities' verdict, on the thread that drives the
/// connection, before the handshake completes and before a client has sent its own certificate. It must not touch the
/// connection.
package typealias PeerCheck = @Sendable (PeerCertificate) -> PeerVerdict

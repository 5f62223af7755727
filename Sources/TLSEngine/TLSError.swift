/// What can go wrong in this module, told apart by whose doing it is. Messages are lower case and carry no secrets;
/// a reason that a peer had influence on comes from OpenSSL's own tables, never from the peer's bytes.
package enum TLSError: Error, Equatable, Sendable {
    /// Our own `PeerCheck` refused the peer.
    case peerRejected(reason: String)
    /// The peer refused us or broke off; the text is the alert's name, `certificate unknown` for example.
    case alert(String)
    /// The peer does not speak what we speak: another version, another protocol, or not TLS at all.
    case handshakeFailed(String)
    /// A record after the handshake was forged, damaged or out of place.
    case recordFailed(String)
    /// The caller broke the contract of a function of this module.
    case misuse(String)
    /// A file could not be read, written or understood.
    case file(path: String, reason: String)
    /// A file with a private key is open to others; `mode` holds its permission bits.
    case permissions(path: String, mode: UInt16)
    /// Memory, randomness or OpenSSL itself failed.
    case environment(String)
}

extension TLSError: CustomStringConvertible {
    /// One line for a log: lower case, no full stop.
    package var description: String {
        switch self {
        case .peerRejected(let reason): "peer refused: \(reason)"
        case .alert(let name): "the peer broke off: \(name)"
        case .handshakeFailed(let reason): "tls handshake failed: \(reason)"
        case .recordFailed(let reason): "tls record failed: \(reason)"
        case .misuse(let reason): "tls misuse: \(reason)"
        case .file(let path, let reason): "\(path): \(reason)"
        case .permissions(let path, let mode):
            "\(path): mode 0\(String(mode, radix: 8)) lets others at the private key (expected 0600)"
        case .environment(let reason): "tls environment: \(reason)"
        }
    }
}

package import TLSEngine
import Transport
import Wire

/// End-to-end TLS as this machine speaks it: one for all sessions of a process (PROTOCOL §6).
package struct SessionTLS: Sendable {
    private let context: TLSContext
    let key: Fingerprint

    /// connect is the TLS client, an agent the server. Throws `TLSError`.
    package init(role: TLSRole, identity: Identity) throws {
        let side: TLSContext.Role = role == .connect ? .client : .server
        key = identity.fingerprint
        context = try TLSContext(role: side, identity: identity, alpn: Protocol.sessionALPN)
    }

    /// Which party this machine is.
    package enum TLSRole: Sendable {
        case connect
        case agent
    }

    func connection(_ check: @escaping PeerCheck) throws(TLSError) -> TLSConnection {
        try TLSConnection(context: context, serverName: nil, check: check)
    }
}

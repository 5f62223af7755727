package import TLSEngine

/// Why a peer's key is believed.
package enum KeyTrust: Sendable {
    /// The operator named it.
    case pinned(Fingerprint)
    /// A certificate that these authorities (a PEM file) issued for the host name.
    case authorities(file: String)
    /// The first key seen under `name` is remembered, and a change refused, as ssh does. A relay's certificate that the
    /// system's authorities vouch for is believed as well.
    case firstUse(KnownKeys, name: String)
}

extension KeyTrust {
    /// The authorities that the TLS context should load for this kind of trust in a relay.
    package var relayAuthorities: TLSContext.Authorities {
        switch self {
        case .pinned: .none
        case .authorities(let file): .file(file)
        case .firstUse: .system
        }
    }

    /// The check that TLS runs during the handshake. `noun` names the peer in a rejection: "relay relay.example:4443".
    package func check(_ noun: String) -> PeerCheck {
        { peer in
            if let reason = self.objection(to: peer, noun: noun) { .reject(reason: reason) } else { .accept }
        }
    }

    private func objection(to peer: PeerCertificate, noun: String) -> String? {
        switch self {
        case .pinned(let key):
            return peer.fingerprint == key ? nil : "the key of \(noun) is \(peer.fingerprint), expected \(key)"
        case .authorities(let file):
            return peer.authorityFailure.map { "the certificate of \(noun) does not stand up to \(file): \($0)" }
        case .firstUse(let known, let name):
            guard peer.authorityFailure != nil else { return nil }
            do throws(KnownKeysError) {
                guard case .changed(let before) = try known.lookup(name, peer.fingerprint) else { return nil }
                let keys = before.map(\.description).joined(separator: ", ")
                return "the key of \(noun) has changed: known \(keys), presented \(peer.fingerprint); "
                    + "if that is expected, remove the line of \(name) from \(known.path)"
            } catch {
                return "\(error)"
            }
        }
    }

    /// Remembers a key that passed the check, once the handshake has shown that the peer holds it. True when it is new.
    package func remember(_ peer: PeerCertificate) throws(KnownKeysError) -> Bool {
        guard case .firstUse(let known, let name) = self, peer.authorityFailure != nil,
            try known.lookup(name, peer.fingerprint) == .unknown
        else { return false }
        try known.remember(name, peer.fingerprint)
        return true
    }
}

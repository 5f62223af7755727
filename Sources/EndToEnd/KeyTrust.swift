package import TLSEngine

/// Why a peer's key is believed.
package enum KeyTrust: Sendable {
    /// The operator named it.
    case pinned(Fingerprint)
    /// A certificate that these authorities (a PEM file) issued for the host name.
    case authorities(file: String)
    /// The key that is known under `name`; a change is refused, as ssh does. A relay's certificate that the system's
    /// authorities vouch for is believed as well.
    case known(KnownKeys, name: String, firstUse: FirstUse)

    /// What happens to a name that is not known yet.
    package enum FirstUse: Sendable {
        /// Its key is believed this once, and remembered.
        case remembered
        /// Its key is refused.
        case refused
    }
}

extension KeyTrust {
    /// The authorities that the TLS context should load for this kind of trust in a relay.
    package var relayAuthorities: TLSContext.Authorities {
        switch self {
        case .pinned: .none
        case .authorities(let file): .file(file)
        case .known: .system
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
        case .known(let known, let name, let firstUse):
            guard peer.authorityFailure != nil else { return nil }
            do throws(KnownKeysError) {
                switch (try known.lookup(name, peer.fingerprint), firstUse) {
                case (.matches, _), (.unknown, .remembered): return nil
                case (.unknown, .refused):
                    return "the key of \(noun) is not known: presented \(peer.fingerprint); "
                        + "if that is the right one, add the line '\(name) \(peer.fingerprint)' to \(known.path)"
                case (.changed(let before), _):
                    return "the key of \(noun) has changed: known \(list(before.map(\.key))), "
                        + "presented \(peer.fingerprint); if that is expected, remove "
                        + "line \(list(before.map(\.line))) of \(known.path)"
                }
            } catch {
                return "\(error)"
            }
        }
    }

    private func list(_ values: [some CustomStringConvertible]) -> String {
        values.map(\.description).joined(separator: ", ")
    }

    /// Remembers a key that passed the check, once the handshake has shown that the peer holds it. True when it is new.
    package func remember(_ peer: PeerCertificate) throws(KnownKeysError) -> Bool {
        guard case .known(let known, let name, .remembered) = self, peer.authorityFailure != nil,
            try known.lookup(name, peer.fingerprint) == .unknown
        else { return false }
        try known.remember(name, peer.fingerprint)
        return true
    }
}

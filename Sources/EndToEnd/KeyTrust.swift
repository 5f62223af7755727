package import TLSEngine

/// Why a peer's key is believed.
package enum KeyTrust: Sendable {
    /// The operator named it, or a key that it follows by rotation.
    case pinned(Fingerprint)
    /// A certificate that these authorities (a PEM file) issued for the host name.
    case authorities(file: String)
    /// The key that is known under `name`, or one that follows it by rotation; another is refused, as ssh does. A relay's
    /// certificate that the system's authorities vouch for is believed as well.
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
    /// The authorities that the TLS context is to ask for this kind of trust in a relay.
    package var relayAuthorities: TLSContext.Authorities {
        switch self {
        case .pinned: .none
        case .authorities(let file): .file(file)
        case .known: .system
        }
    }

    /// The check that TLS runs during the handshake. `noun` names the peer in a rejection: "relay relay.example:4443".
    package func check(_ noun: String) -> PeerCheck {
        { verdict(on: $0, noun: noun) }
    }

    private func verdict(on peer: PeerCertificate, noun: String) -> PeerVerdict {
        switch self {
        case .pinned(let key):
            return peer.fingerprint == key || peer.predecessors.contains(key)
                ? .accept : .reject(reason: "the key of \(noun) is \(peer.fingerprint), expected \(key)")
        case .authorities(let file):
            return switch peer.authorityVerdict {
            case .notAsked: .askAuthorities
            case .genuine: .accept
            case .failure(let reason):
                .reject(reason: "the certificate of \(noun) does not stand up to \(file): \(reason)")
            }
        case .known(let known, let name, let firstUse):
            switch peer.authorityVerdict {
            case .genuine: return .accept
            case .notAsked:
                // A key that is known needs nobody else.
                if case .matches? = try? known.lookup(name, peer.fingerprint) { return .accept }
                return .askAuthorities
            case .failure:
                return objection(to: peer, known: known, name: name, firstUse: firstUse, noun: noun)
                    .map { .reject(reason: $0) } ?? .accept
            }
        }
    }

    private func objection(
        to peer: PeerCertificate, known: KnownKeys, name: String, firstUse: FirstUse, noun: String
    ) -> String? {
        do throws(KnownKeysError) {
            switch (try known.lookup(name, peer.fingerprint), firstUse) {
            case (.matches, _), (.unknown, .remembered): return nil
            case (.unknown, .refused):
                return "the key of \(noun) is not known: presented \(peer.fingerprint); "
                    + "if that is the right one, add the line '\(name) \(peer.fingerprint)' to \(known.path)"
            case (.changed(let before), _):
                let predecessors = peer.predecessors
                if before.contains(where: { predecessors.contains($0.key) }) { return nil }
                return "the key of \(noun) has changed: known \(list(before.map(\.key))), "
                    + "presented \(peer.fingerprint); if that is expected, remove "
                    + "line \(list(before.map(\.line))) of \(known.path)"
            }
        } catch {
            return "\(error)"
        }
    }

    private func list(_ values: [some CustomStringConvertible]) -> String {
        values.map(\.description).joined(separator: ", ")
    }

    /// What is new about a peer that passed the check.
    package enum News: Equatable, Sendable {
        /// It has been seen for the first time.
        case firstUse
        /// Its key follows one that was trusted so far.
        case rotation(from: Fingerprint)
    }

    /// Remembers a key that passed the check, once the handshake has shown that the peer holds it. A key that follows another
    /// takes its place, so that the old one is trusted no more; a pin is the operator's to change.
    package func remember(_ peer: PeerCertificate) throws(KnownKeysError) -> News? {
        switch self {
        case .authorities: return nil
        case .pinned(let key): return peer.fingerprint == key ? nil : .rotation(from: key)
        case .known(let known, let name, let firstUse):
            guard peer.authorityVerdict != .genuine else { return nil }
            switch (try known.lookup(name, peer.fingerprint), firstUse) {
            case (.matches, _), (.unknown, .refused): return nil
            case (.unknown, .remembered):
                try known.remember(name, peer.fingerprint)
                return .firstUse
            case (.changed(let before), _):
                let predecessors = peer.predecessors
                guard let old = before.first(where: { predecessors.contains($0.key) }) else { return nil }
                try known.replace(name, predecessors, by: peer.fingerprint)
                return .rotation(from: old.key)
            }
        }
    }
}

import Mux
import Synchronization
import Transport
import Wire

/// Which agent is reached over which link. Shared by all event loops.
final class Registry: Sendable {
    enum Outcome {
        case registered
        /// The same key was registered over an older link, which is the caller's to end.
        case replaced(PeerLink)
        /// Another key holds the ID.
        case taken
        /// The same key has been registered again and again.
        case tooOften
    }

    private struct Entry {
        let link: PeerLink
        let key: Fingerprint
        /// How often a registration may be replaced: each ends a link and all its tunnels.
        var replacements = RateLimit(perSecond: 1, burst: 10)
    }

    private let entries = Mutex<[AgentID: Entry]>([:])

    func register(_ id: AgentID, link: PeerLink, key: Fingerprint) -> Outcome {
        entries.withLock { entries in
            guard var before = entries[id] else {
                entries[id] = Entry(link: link, key: key)
                return .registered
            }
            guard before.key == key else { return .taken }
            guard before.replacements.take() else { return .tooOften }
            entries[id] = Entry(link: link, key: key, replacements: before.replacements)
            return .replaced(before.link)
        }
    }
    /// Forgets the ID if it is still that link's.
    func unregister(_ id: AgentID, link: PeerLink) {
        entries.withLock { entries in
            if entries[id]?.link === link { entries[id] = nil }
        }
    }

    func link(of id: AgentID) -> PeerLink? {
        entries.withLock { $0[id]?.link }
    }
}

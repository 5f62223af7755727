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
    }

    private struct Entry {
        let link: PeerLink
        let key: Fingerprint
    }

    private let entries = Mutex<[AgentID: Entry]>([:])

    func register(_ id: AgentID, link: PeerLink, key: Fingerprint) -> Outcome {
        entries.withLock { entries in
            let before = entries[id]
            if let before, before.key != key { return .taken }
            entries[id] = Entry(link: link, key: key)
            return before.map { .replaced($0.link) } ?? .registered
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

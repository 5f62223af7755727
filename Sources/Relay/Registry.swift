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
        /// The ID has been registered again and again.
        case tooOften
    }

    private struct Entry {
        let link: PeerLink
        let key: Fingerprint
    }

    private struct State {
        var entries: [AgentID: Entry] = [:]
        /// How often each ID may be registered: each time may end another link and all its tunnels.
        var rates: [AgentID: RateLimit] = [:]
    }

    /// IDs whose rates are remembered. One more, and another is forgotten.
    private static let mostRates = 16_384

    private let state = Mutex(State())

    func register(_ id: AgentID, link: PeerLink, key: Fingerprint) -> Outcome {
        state.withLock { state in
            let before = state.entries[id]
            if let before, before.key != key { return .taken }
            guard Registry.mayRegister(id, &state) else { return .tooOften }
            state.entries[id] = Entry(link: link, key: key)
            return before.map { .replaced($0.link) } ?? .registered
        }
    }

    private static func mayRegister(_ id: AgentID, _ state: inout State) -> Bool {
        var rate = state.rates[id] ?? RateLimit(perSecond: 1, burst: 10)
        if state.rates[id] == nil, state.rates.count >= mostRates, let another = state.rates.keys.first {
            state.rates[another] = nil
        }
        defer { state.rates[id] = rate }
        return rate.take()
    }

    /// Forgets the ID if it is still that link's.
    func unregister(_ id: AgentID, link: PeerLink) {
        state.withLock { state in
            if state.entries[id]?.link === link { state.entries[id] = nil }
        }
    }

    func link(of id: AgentID) -> PeerLink? {
        state.withLock { $0.entries[id]?.link }
    }
}

import Synchronization
import Wire

/// How many tunnels there are, of whom and to whom. Shared by all event loops.
final class TunnelTable: Sendable {
    private struct Counts {
        var all = 0
        var ofClient: [String: Int] = [:]
        var toAgent: [AgentID: Int] = [:]
    }

    private let limits: RelayLimits
    private let counts = Mutex(Counts())

    init(limits: RelayLimits) {
        self.limits = limits
    }

    /// A place for one more tunnel, which is taken for as long as it lives.
    func place(client: String, agent: AgentID) throws(Refusal) -> TunnelPlace {
        try counts.withLock { counts throws(Refusal) in
            let ofClient = counts.ofClient[client, default: 0]
            let toAgent = counts.toAgent[agent, default: 0]
            guard ofClient < limits.tunnelsPerClient else {
                throw Refusal(.limitExceeded, "a client may have \(limits.tunnelsPerClient) tunnels")
            }
            guard toAgent < limits.tunnelsPerAgent else {
                throw Refusal(.limitExceeded, "an agent may have \(limits.tunnelsPerAgent) tunnels")
            }
            guard counts.all < limits.tunnels else {
                throw Refusal(.limitExceeded, "this relay carries \(limits.tunnels) tunnels already")
            }
            counts.all += 1
            counts.ofClient[client] = ofClient + 1
            counts.toAgent[agent] = toAgent + 1
        }
        return TunnelPlace(table: self, client: client, agent: agent)
    }

    fileprivate func left(client: String, agent: AgentID) {
        counts.withLock { counts in
            counts.all -= 1
            counts.ofClient[client] = less(counts.ofClient[client])
            counts.toAgent[agent] = less(counts.toAgent[agent])
        }
    }

    /// Nil instead of 0, so that the tables hold those that are there and nobody else.
    private func less(_ count: Int?) -> Int? {
        guard let count, count > 1 else { return nil }
        return count - 1
    }
}

/// One tunnel's place in the table.
final class TunnelPlace: Sendable {
    private let table: TunnelTable
    private let client: String
    private let agent: AgentID

    fileprivate init(table: TunnelTable, client: String, agent: AgentID) {
        self.table = table
        self.client = client
        self.agent = agent
    }

    deinit { table.left(client: client, agent: agent) }
}

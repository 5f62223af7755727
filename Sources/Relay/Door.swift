import NIOCore
import Synchronization

/// Decides at accept, before anything is made for a connection, whether it may come in; and counts who is there. Shared by
/// all event loops.
///
/// Its tables are bounded: that of addresses by the connections there are, that of failures by `mostFailing`.
final class Door: Sendable {
    /// Why a connection is turned away.
    enum Objection: String, Error {
        case connections = "too many connections"
        case connectionsOfAddress = "too many connections from this address"
        case failures = "too many authentication failures from this address"
    }

    private struct Failures {
        var count = 0
        var last: NIODeadline
        var waitsUntil: NIODeadline
    }

    private struct State {
        var connections = 0
        var peak = 0
        var connectionsOf: [AddressGroup: Int] = [:]
        var failuresOf: [AddressGroup: Failures] = [:]
        /// How to end each connection that has not been welcomed, by the number of its visit.
        var pending: [UInt64: @Sendable () -> Void] = [:]
        var nextVisit: UInt64 = 0
        /// No pending visit has a lower number.
        var oldestPending: UInt64 = 0
    }

    /// Addresses whose failures are remembered. One more, and another is forgotten: whoever has as many addresses is not
    /// held up by what one of them must wait.
    static let mostFailing = 16_384
    /// An address without failures for so long begins anew.
    static let memory = TimeAmount.minutes(10)
    /// Doublings of a second; 64 s at most.
    private static let mostDoublings = 6

    private let limits: RelayLimits
    private let state = Mutex(State())

    init(limits: RelayLimits) {
        self.limits = limits
    }

    /// Connections there are now.
    var connections: Int { state.withLock { $0.connections } }

    /// Those of them that have not been welcomed.
    var pendingConnections: Int { state.withLock { $0.pending.count } }

    /// Addresses whose failures are remembered.
    var failingAddresses: Int { state.withLock { $0.failuresOf.count } }

    /// The most connections there have been at once since the last call.
    func takePeak() -> Int {
        state.withLock { state in
            defer { state.peak = state.connections }
            return state.peak
        }
    }

    /// Lets a connection in for as long as the visit lives. `evict` is called, on any thread, if it has to make room.
    func enter(
        _ address: SocketAddress?, now: NIODeadline = .now(), evict: @escaping @Sendable () -> Void
    ) throws(Objection) -> Visit {
        let group = AddressGroup(address)
        let (number, oldest) = try state.withLock { state throws(Objection) in
            if let failures = state.failuresOf[group], failures.waitsUntil > now { throw .failures }
            guard state.connections < limits.connections else { throw .connections }
            let ofAddress = state.connectionsOf[group, default: 0]
            guard ofAddress < limits.connectionsPerAddress else { throw .connectionsOfAddress }
            state.connections += 1
            state.peak = max(state.peak, state.connections)
            state.connectionsOf[group] = ofAddress + 1
            let oldest = state.pending.count < limits.pendingConnections ? nil : takeOldest(&state)
            let number = state.nextVisit
            state.nextVisit += 1
            state.pending[number] = evict
            return (number, oldest)
        }
        oldest?()
        return Visit(door: self, group: group, ip: address?.ipAddress ?? "unknown", number: number)
    }

    /// Numbers only grow, so that looking for the lowest again and again costs a step a visit in all.
    private func takeOldest(_ state: inout State) -> (@Sendable () -> Void)? {
        while state.oldestPending < state.nextVisit {
            defer { state.oldestPending += 1 }
            if let oldest = state.pending.removeValue(forKey: state.oldestPending) { return oldest }
        }
        return nil
    }

    // What is taken out of the table may be the last to hold a visit, which comes back here when it goes: it is let go of
    // outside the lock.

    fileprivate func replaceEviction(of number: UInt64, _ evict: @escaping @Sendable () -> Void) {
        _ = state.withLock { $0.pending[number] == nil ? nil : $0.pending.updateValue(evict, forKey: number) }
    }

    fileprivate func welcomed(_ number: UInt64) {
        _ = state.withLock { $0.pending.removeValue(forKey: number) }
    }

    fileprivate func left(_ group: AddressGroup, _ number: UInt64) {
        _ = state.withLock { state in
            state.connections -= 1
            let others = state.connectionsOf[group, default: 1] - 1
            state.connectionsOf[group] = others > 0 ? others : nil
            return state.pending.removeValue(forKey: number)
        }
    }

    /// A token from there was refused. Beyond the limit its next connection has to wait, each time twice as long.
    func failed(_ group: AddressGroup, now: NIODeadline = .now()) {
        state.withLock { state in
            var failures = state.failuresOf[group] ?? Failures(last: now, waitsUntil: now)
            if now - failures.last > Door.memory { failures.count = 0 }
            failures.count += 1
            failures.last = now
            let excess = failures.count - limits.failuresPerAddress
            if excess > 0 { failures.waitsUntil = now + .seconds(1 << Int64(min(excess - 1, Door.mostDoublings))) }
            if state.failuresOf[group] == nil, state.failuresOf.count >= Door.mostFailing,
                let another = state.failuresOf.keys.first
            {
                state.failuresOf[another] = nil
            }
            state.failuresOf[group] = failures
        }
    }
}

/// One connection's stay, from accept to the end; it is over when nobody holds it any more.
final class Visit: Sendable {
    /// Where the connection comes from, for the log.
    let ip: String
    private let door: Door
    private let group: AddressGroup
    private let number: UInt64

    fileprivate init(door: Door, group: AddressGroup, ip: String, number: UInt64) {
        self.door = door
        self.group = group
        self.ip = ip
        self.number = number
    }

    deinit { door.left(group, number) }

    /// What to do from now on if the connection has to make room.
    func ifEvicted(_ evict: @escaping @Sendable () -> Void) {
        door.replaceEviction(of: number, evict)
    }

    /// It is no longer pending.
    func welcomed() {
        door.welcomed(number)
    }

    /// Its token was refused.
    func failed() {
        door.failed(group)
    }
}

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

    /// Why a connection has to leave that has not been welcomed.
    enum Dismissal {
        /// For a newcomer, as the one that has waited longest.
        case forRoom
        /// Its handshake, or after that its hello, has not come in time.
        case late

        /// For the log, of one that is still in its handshake.
        func reason(under limits: RelayLimits) -> String {
            switch self {
            case .forRoom: "too many connections wait to be admitted"
            case .late: "no handshake within \(limits.handshakeSeconds) s"
            }
        }
    }

    private struct Pending {
        var deadline: NIODeadline
        var dismiss: @Sendable (Dismissal) -> Void
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
        /// The connections that have not been welcomed, by the number of their visits.
        var pending: [UInt64: Pending] = [:]
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

    /// Between two looks for those that are late, at least.
    private static let interval = TimeAmount.milliseconds(100)

    private let limits: RelayLimits
    /// For the handshake, and again for the hello.
    private let timeout: TimeAmount
    private let state = Mutex(State())

    init(limits: RelayLimits) {
        self.limits = limits
        timeout = .seconds(limits.handshakeSeconds)
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

    /// Lets a connection in for as long as the visit lives. `dismiss` is called once at most, on any thread, if it has to
    /// leave before it has been welcomed.
    func enter(
        _ address: SocketAddress?, now: NIODeadline = .now(), dismiss: @escaping @Sendable (Dismissal) -> Void
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
            state.pending[number] = Pending(deadline: now + timeout, dismiss: dismiss)
            return (number, oldest)
        }
        oldest?.dismiss(.forRoom)
        return Visit(door: self, group: group, ip: address?.ipAddress ?? "unknown", number: number)
    }

    /// Numbers only grow, so that looking for the lowest again and again costs a step a visit in all.
    private func takeOldest(_ state: inout State) -> Pending? {
        while state.oldestPending < state.nextVisit {
            defer { state.oldestPending += 1 }
            if let oldest = state.pending.removeValue(forKey: state.oldestPending) { return oldest }
        }
        return nil
    }

    /// Dismisses those that are late, until the task is cancelled. One timer for all: with one for each, a crowd would leave
    /// its event loops' tables of timers behind, and each of them would take a walk through that to cancel.
    func dismissLate() async {
        var next = NIODeadline.now() + timeout
        while (try? await Task.sleep(for: Duration(next - .now()))) != nil {
            next = dismissLate(now: .now())
        }
    }

    /// Dismisses those that are late by then. When to look again: nobody who comes later is late before.
    func dismissLate(now: NIODeadline) -> NIODeadline {
        let (late, next) = state.withLock { state in
            let numbers = state.pending.filter { $0.value.deadline <= now }.keys
            let late = numbers.compactMap { state.pending.removeValue(forKey: $0) }
            state.pending.shrink()
            return (late, state.pending.values.map(\.deadline).min() ?? now + timeout)
        }
        for pending in late { pending.dismiss(.late) }
        return max(next, now + Door.interval)
    }

    // What is taken out of the table may be the last to hold a visit, which comes back here when it goes: it is let go of
    // outside the lock.

    fileprivate func replaceDismissal(of number: UInt64, _ dismiss: @escaping @Sendable (Dismissal) -> Void) {
        _ = state.withLock { state -> Pending? in
            guard let pending = state.pending[number] else { return nil }
            state.pending[number]?.dismiss = dismiss
            return pending
        }
    }

    fileprivate func waitsForHello(_ number: UInt64, now: NIODeadline) {
        state.withLock { $0.pending[number]?.deadline = now + timeout }
    }

    fileprivate func welcomed(_ number: UInt64) {
        _ = state.withLock { state in
            defer { state.pending.shrink() }
            return state.pending.removeValue(forKey: number)
        }
    }

    fileprivate func left(_ group: AddressGroup, _ number: UInt64) {
        _ = state.withLock { state in
            state.connections -= 1
            let others = state.connectionsOf[group, default: 1] - 1
            state.connectionsOf[group] = others > 0 ? others : nil
            state.connectionsOf.shrink()
            defer { state.pending.shrink() }
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

    /// What to do from now on if the connection has to leave before it has been welcomed.
    func ifDismissed(_ dismiss: @escaping @Sendable (Door.Dismissal) -> Void) {
        door.replaceDismissal(of: number, dismiss)
    }

    /// Its handshake is done; from now on it has its time for the hello.
    func waitsForHello(now: NIODeadline = .now()) {
        door.waitsForHello(number, now: now)
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

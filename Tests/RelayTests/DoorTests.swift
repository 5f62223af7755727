import NIOCore
import Synchronization
import Testing

@testable import Relay

@Suite struct `the door` {
    private static func address(_ text: String) throws -> SocketAddress { try SocketAddress(ipAddress: text, port: 1) }

    private static func limits(_ change: (inout RelayLimits) -> Void) -> RelayLimits {
        var limits = RelayLimits()
        change(&limits)
        return limits
    }

    @Test func `lets in no more than there may be, and another when one has gone`() throws {
        let door = Door(limits: Self.limits { $0.connections = 2 })
        var visits = try ["192.0.2.1", "192.0.2.2"].map { try door.enter(Self.address($0)) { _ in } }
        #expect(throws: Door.Objection.connections) { try door.enter(Self.address("192.0.2.3")) { _ in } }
        visits.removeFirst()
        visits.append(try door.enter(Self.address("192.0.2.3")) { _ in })
        #expect(door.connections == 2)
        visits = []
        #expect(door.connections == 0)
        #expect(door.takePeak() == 2)
        #expect(door.takePeak() == 0)
    }

    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false), ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("2001:db8::1", "2001:db8::ffff:0:0:2", true), ("2001:db8::1", "2001:db8:0:1::1", false),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
    ])
    func `counts IPv4 by address and IPv6 by its 64 bits of network`(
        _ one: String, _ other: String, _ isShared: Bool
    ) throws {
        let door = Door(limits: Self.limits { $0.connectionsPerAddress = 1 })
        let visit = try door.enter(Self.address(one)) { _ in }
        defer { withExtendedLifetime(visit) {} }
        let refused = (try? door.enter(Self.address(other)) { _ in }) == nil
        #expect(refused == isShared)
    }

    @Test func `closes the one that has waited longest, and nobody that was welcomed`() throws {
        let evicted = Mutex<[Int]>([])
        let door = Door(limits: Self.limits { $0.pendingConnections = 2 })
        var visits: [Visit] = []
        for number in 0..<4 {
            visits.append(try door.enter(Self.address("192.0.2.1")) { _ in evicted.withLock { $0.append(number) } })
            if number == 0 { visits[0].welcomed() }
        }
        #expect(evicted.withLock { $0 } == [1])
        visits.remove(at: 2)
        visits.append(try door.enter(Self.address("192.0.2.1")) { _ in })
        #expect(evicted.withLock { $0 } == [1])
        visits[2].ifDismissed { _ in evicted.withLock { $0.append(33) } }
        visits.append(try door.enter(Self.address("192.0.2.1")) { _ in })
        #expect(evicted.withLock { $0 } == [1, 33])
    }

    @Test func `dismisses whoever is late for the handshake or the hello, once, and nobody that was welcomed`() throws {
        let late = Mutex<[String]>([])
        let door = Door(limits: Self.limits { $0.handshakeSeconds = 10 })
        let start = NIODeadline.now()
        let visits = try ["silent", "slow", "welcome", "second"].map { name in
            try door.enter(
                Self.address("192.0.2.1"), now: name == "second" ? start + .seconds(4) : start
            ) { dismissal in
                if case .late = dismissal { late.withLock { $0.append(name) } }
            }
        }
        visits[1].waitsForHello(now: start + .seconds(7))
        visits[2].welcomed()
        let steps: [(at: Int64, next: Int64, late: [String])] = [
            (9, 10, []), (10, 14, ["silent"]), (14, 17, ["silent", "second"]),
            (17, 27, ["silent", "second", "slow"]), (60, 70, ["silent", "second", "slow"]),
        ]
        for step in steps {
            #expect(door.dismissLate(now: start + .seconds(step.at)) == start + .seconds(step.next))
            #expect(late.withLock { $0 } == step.late)
        }
        #expect(door.pendingConnections == 0)
        #expect(door.connections == 4)
        withExtendedLifetime(visits) {}
    }

    @Test func `gives back the room of its table when a crowd has left`() throws {
        var table = Dictionary(uniqueKeysWithValues: (0..<5000).map { ($0, "\($0)") })
        for number in 3..<5000 {
            table[number] = nil
            table.shrink()
        }
        #expect(table == [0: "0", 1: "1", 2: "2"])
        #expect(table.capacity < 64)
    }

    @Test func `makes an address wait after failures, each time twice as long, and no other`() throws {
        let door = Door(limits: Self.limits { $0.failuresPerAddress = 2 })
        let (here, there) = (try Self.address("192.0.2.1"), try Self.address("192.0.2.2"))
        let group = AddressGroup(here)
        var now = NIODeadline.now()
        for _ in 0..<2 { door.failed(group, now: now) }
        _ = try door.enter(here, now: now) { _ in }
        for seconds: Int64 in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            door.failed(group, now: now)
            #expect(throws: Door.Objection.failures) {
                try door.enter(here, now: now + .seconds(seconds) - .nanoseconds(1)) { _ in }
            }
            _ = try door.enter(there, now: now) { _ in }
            now = now + .seconds(seconds)
            _ = try door.enter(here, now: now) { _ in }
        }
        // Long quiet, it begins anew.
        now = now + .minutes(11)
        for _ in 0..<2 { door.failed(group, now: now) }
        _ = try door.enter(here, now: now) { _ in }
    }

    @Test func `remembers the failures of so many addresses and no more`() {
        let door = Door(limits: RelayLimits())
        for network in 0..<UInt64(Door.mostFailing + 100) { door.failed(.v6(network)) }
        #expect(door.failingAddresses == Door.mostFailing)
    }

    @Test func `counts right when all threads come and go at once`() async throws {
        let door = Door(limits: Self.limits { $0.pendingConnections = 5 })
        await withTaskGroup { group in
            for thread in 0..<8 {
                group.addTask {
                    var visits: [Visit] = []
                    for round in 0..<2000 {
                        let address = try? SocketAddress(ipAddress: "192.0.2.\(round % 3)", port: thread)
                        if let visit = try? door.enter(address, dismiss: { _ in }) { visits.append(visit) }
                        if round % 5 == 0 { visits.last?.welcomed() }
                        if visits.count > 10 { visits.removeFirst() }
                    }
                }
            }
        }
        #expect(door.connections == 0)
        #expect(door.pendingConnections == 0)
    }
}

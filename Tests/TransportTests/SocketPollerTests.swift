import CPoller
import NIOCore
import NIOPosix
import Testing

@testable import Transport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The set of a forward's sockets, by either way to ring its bell, on a real event loop.
@Suite(.timeLimit(.minutes(1))) struct SocketPollerTests {
    @Test("input is told once, and again when more has come", arguments: [false, true])
    func input(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.write("a")
            await scene.waits(for: [.input])
            // Nobody reads it: it is not told again with what comes later, but that is.
            try await scene.write("b")
            await scene.waits(for: [.input, .input])
            try await scene.settled()
            #expect(scene.heard == [.input, .input])
        }
    }

    @Test("input is told however often it comes, and whatever else rings", arguments: [false, true])
    func often(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            var turns = 0
            for inputs in 0..<100 {
                if inputs % 3 > 0 {
                    try await scene.on { scene.askForATurn() }
                    turns += 1
                }
                if inputs % 3 == 1 { try await scene.hears(inputs: inputs, turns: turns) }
                try await scene.write("a")
                try await scene.hears(inputs: inputs + 1, turns: turns)
            }
        }
    }

    @Test("the end of the peer's half comes with its input", arguments: [false, true])
    func end(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            let code = try await scene.on { shutdown(scene.far, CInt(SHUT_WR)) }
            #expect(code == 0)
            await scene.waits(for: [.input])
            #expect(scene.isPiecemeal)
        }
    }

    @Test("room for output is told only to who awaits it, and anew once it was full", arguments: [false, true])
    func output(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.settled()
            #expect(scene.heard.isEmpty)
            try await scene.on { scene.ask(for: [.input, .output]) }
            await scene.waits(for: [.output])
            try await scene.on { scene.fill() }
            try await scene.settled()
            #expect(scene.heard == [.output])
            try await scene.on { scene.drainFar() }
            await scene.waits(for: [.output, .output])
        }
    }

    #if os(Linux)
    @Test("input that nobody asks for is not told, and is when somebody does", arguments: [false, true])
    func unasked(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.on { scene.ask(for: []) }
            try await scene.write("a")
            try await scene.settled()
            #expect(scene.heard.isEmpty)
            try await scene.on { scene.ask(for: .input) }
            await scene.waits(for: [.input])
        }
    }

    @Test("a broken connection is told to who asks for nothing", arguments: [false, true])
    func broken(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.on { scene.ask(for: []) }
            try await scene.write("a")
            try await scene.on { scene.resetFar() }
            await scene.waits(for: [[.input, .broken]])
        }
    }
    #endif

    @Test("who is removed hears nothing, nor does who has the number of its socket next", arguments: [false, true])
    func removed(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.on {
                // Both in one turn: the event is in the set when its socket is closed.
                #expect(write(scene.far, "x", 1) == 1)
                try scene.replace()
            }
            try await scene.settled()
            #expect(scene.heard.isEmpty)
            try await scene.write("y")
            await scene.waits(for: [.input])
        }
    }

    @Test("who asks is called again in the next turn", arguments: [false, true])
    func again(byThread: Bool) async throws {
        try await withScene(byThread) { scene in
            try await scene.on {
                scene.askForATurn()
                #expect(scene.heard.isEmpty)
            }
            await scene.waits(for: [[]])
        }
    }

    private func withScene(_ byThread: Bool, _ body: (Scene) async throws -> Void) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let scene = Scene(on: group.next())
        do {
            try await scene.on { try scene.begin(byThread: byThread) }
            try await body(scene)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        #expect(scene.hasEnded)
    }
}

/// A set without an event loop, which would ask again where the kernel refuses.
@Suite struct PollerBellTests {
    @Test func `the kernel is never asked for too much, whoever rings`() throws {
        var error: CInt = 0
        let poller = try #require(adit_poller_make(false, &error))
        defer { adit_poller_free(poller) }
        let bell = adit_poller_bell(poller)
        defer { close(bell) }
        let (near, far) = try makeSocketPair()
        defer {
            close(near)
            close(far)
        }
        #expect(adit_poller_add(poller, near, 1) == 0 && adit_poller_arm(poller) == 0)
        var event = adit_poller_event()
        var byte: UInt8 = 0
        // What the kernel holds of requests that are over grows with the number of processors.
        let turns = 500 + 100 * System.coreCount
        for turn in 0..<2 * turns {
            // First by hand alone, then either or both.
            let (isRung, hasInput) = turn < turns ? (true, false) : (turn % 3 != 0, turn % 3 != 1)
            if isRung { adit_poller_ring(poller) }
            if hasInput { #expect(send(far, "x", 1, 0) == 1) }
            var watched = pollfd(fd: bell, events: Int16(POLLIN), revents: 0)
            try #require(poll(&watched, 1, 10_000) == 1, "turn \(turn)")
            var count: UInt64 = 0
            _ = read(bell, &count, MemoryLayout.size(ofValue: count))
            adit_poller_heard(poller, count)
            #expect(adit_poller_take(poller, &event, 1) == (hasInput ? 1 : 0))
            #expect(!hasInput || recv(near, &byte, 1, 0) == 1)
            try #require(adit_poller_arm(poller) == 0, "turn \(turn)")
        }
    }
}

/// One member of a poller, and the far end of its socket.
///
/// `@unchecked Sendable`: all but `init` happens on the event loop, or after it has ended.
private final class Scene: @unchecked Sendable, Polled {
    private let eventLoop: any EventLoop
    private var poller: SocketPoller?
    private var membership: SocketPoller.Membership?
    private(set) var near: CInt = -1
    private(set) var far: CInt = -1
    /// Less `.piecemeal`, which some systems say of all input.
    private(set) var heard: [Readiness] = []
    private(set) var isPiecemeal = false
    private(set) var hasEnded = false
    private var awaited: (what: [Readiness], promise: EventLoopPromise<Void>)?

    init(on eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    func on<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws -> T {
        try await eventLoop.submit(body).get()
    }

    func begin(byThread: Bool) throws {
        poller = try SocketPoller(on: eventLoop, byThread: byThread)
        try join()
    }

    private func join() throws {
        (near, far) = try makeSocketPair()
        membership = try poller?.add(near, owner: self)
    }

    /// Leaves, and joins with another socket of the same number.
    func replace() throws {
        if let membership { poller?.remove(membership) }
        close(far)
        let (made, far) = try makeSocketPair()
        #expect(dup2(made, near) == near)
        close(made)
        self.far = far
        membership = try poller?.add(near, owner: self)
    }

    private func leave() {
        if let membership { poller?.remove(membership) }
        close(near)
        close(far)
    }

    func ready(_ what: Readiness) {
        heard.append(what.subtracting(.piecemeal))
        if what.contains(.piecemeal) { isPiecemeal = true }
        if let awaited, awaited.what == heard { awaited.promise.succeed() }
    }

    func pollerEnded() {
        hasEnded = true
        leave()
    }

    func write(_ text: String) async throws {
        let written = try await on { Array(text.utf8).withUnsafeBytes { send(self.far, $0.baseAddress, $0.count, 0) } }
        #expect(written == text.utf8.count)
    }

    func ask(for what: Readiness) {
        if let membership { poller?.watch(membership, for: what) }
    }

    /// The far end goes without reading what it was sent.
    func resetFar() {
        #expect(send(near, "x", 1, 0) == 1)
        close(far)
        far = -1
    }

    func askForATurn() {
        poller?.inNextTurn { self.ready([]) }
    }

    func fill() {
        let block = [UInt8](repeating: 0, count: 65_536)
        while send(near, block, block.count, 0) > 0 {}
    }

    func drainFar() {
        var block = [UInt8](repeating: 0, count: 65_536)
        while recv(far, &block, block.count, 0) > 0 {}
    }

    /// Until exactly this was heard; the suite's time limit ends a wait for what does not come.
    func waits(for what: [Readiness]) async {
        let promise = eventLoop.makePromise(of: Void.self)
        eventLoop.execute {
            if self.heard == what { promise.succeed() } else { self.awaited = (what, promise) }
        }
        try? await promise.futureResult.get()
    }

    /// Until so much was heard, in whatever order.
    func hears(inputs: Int, turns: Int) async throws {
        while try await on({ (self.heard.count { $0 == .input }, self.heard.count { $0 == [] }) }) != (inputs, turns) {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    /// Until all that there is to tell by now has been told.
    func settled() async throws {
        try await on { self.poller?.takeAll() }
    }
}

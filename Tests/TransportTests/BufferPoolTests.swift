import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

/// Which buffers an event loop keeps. Those that are lent have to be the same memory as those that came back, and what is let
/// go cannot be told by its address: it may be the next that is allocated.
struct BufferPoolTests {
    private static let many = 100

    @Test func `as many are kept as were out at a time, and serve again`() {
        var pool = BufferPool()
        var lent = (0..<Self.many).map { _ in pool.takeRead() }
        let addresses = Set(lent.map(Self.address))
        // Nobody else may hold one that comes back.
        while let buffer = lent.popLast() { pool.giveBack(buffer) }
        #expect(pool.kept == Self.many * BufferPool.readSize)
        lent = (0..<Self.many).map { _ in pool.takeRead() }
        #expect(Set(lent.map(Self.address)) == addresses)
        #expect(pool.kept == 0)
    }

    @Test func `what was needed stays, newest first, and the rest is let go`() {
        var pool = BufferPool()
        Self.use(Self.many, of: &pool)
        pool.letGoOfUnneeded()
        #expect(pool.kept == Self.many * BufferPool.readSize)
        let address = Self.use(3, of: &pool)
        pool.letGoOfUnneeded()
        #expect(pool.kept == 3 * BufferPool.readSize)
        #expect(Self.use(1, of: &pool) == address)
        pool.letGoOfUnneeded()
        pool.letGoOfUnneeded()
        #expect(pool.kept == 0)
    }

    @Test func `batches that nobody needs go before buffers for reads`() {
        var pool = BufferPool()
        Self.use(4, of: &pool)
        for size in [BufferPool.leastSealed, BufferPool.largest, BufferPool.largest] {
            pool.giveBack(ByteBufferAllocator().buffer(capacity: size))
        }
        pool.letGoOfUnneeded()
        Self.use(4, of: &pool)
        pool.letGoOfUnneeded()
        #expect(pool.kept == 4 * BufferPool.readSize)
        #expect(pool.takeSealed().storageCapacity == BufferPool.readSize)
    }

    @Test func `what is too small or too large is not kept, nor more than the most`() {
        var pool = BufferPool()
        pool.giveBack(ByteBuffer())
        pool.giveBack(ByteBufferAllocator().buffer(capacity: BufferPool.leastSealed / 2))
        pool.giveBack(ByteBufferAllocator().buffer(capacity: BufferPool.largest * 2))
        #expect(pool.kept == 0)
        let most = BufferPool.mostKept / BufferPool.largest
        for _ in 0...most { pool.giveBack(ByteBufferAllocator().buffer(capacity: BufferPool.largest)) }
        #expect(pool.kept == BufferPool.mostKept)
        // Not all at once: the event loop serves others in between.
        pool.letGo()
        #expect(pool.kept == BufferPool.mostKept - BufferPool.mostLetGo)
        pool.letGoOfUnneeded()
        #expect(pool.kept == BufferPool.mostKept - 2 * BufferPool.mostLetGo)
    }

    /// Has so many out at a time; the address of the one that came back last.
    @discardableResult
    private static func use(_ count: Int, of pool: inout BufferPool) -> UInt? {
        var lent = (0..<count).map { _ in pool.takeRead() }
        let last = lent.first.map(address)
        while let buffer = lent.popLast() { pool.giveBack(buffer) }
        return last
    }

    private static func address(_ buffer: ByteBuffer) -> UInt {
        buffer.withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
}

/// When an event loop lets go of them.
struct RestTests {
    /// Full ones, or more than a little of others.
    @Test(arguments: [(1, BufferPool.leastSealed), (10, 1), (300, BufferPool.leastSealed)])
    func `nothing is kept at rest`(buffers: Int, bytes: Int) async throws {
        try await eventually { loop in
            Self.use(buffers, bytes, of: loop)
            #expect(loop.buffers.kept == buffers * BufferPool.readSize)
            #expect(loop.isRestAwaited && LoopContext.anyAwaitsRest)
        } holds: { loop in
            loop.buffers.kept == 0 && !loop.isRestAwaited
        }
    }

    @Test func `of a few buffers that were never full it may keep some`() async throws {
        try await withEventLoops(1) { group in
            let eventLoop = group.any()
            try await eventLoop.submit {
                let loop = LoopContext.of(eventLoop)
                Self.use(2, 1, of: loop)
                #expect(loop.buffers.kept == BufferPool.largest && !loop.isRestAwaited)
            }.get()
        }
    }

    @Test func `many staging buffers do not stay`() async throws {
        try await eventually { loop in
            Self.stage(on: loop)
        } holds: { loop in
            loop.staging.isEmpty
        }
        try await eventually { loop in
            Self.stage(on: loop)
        } holds: { loop in
            Self.use(1, BufferPool.leastSealed, of: loop)
            return loop.staging.count == LoopContext.fewStaged
        }
    }

    @Test func `what is needed again and again stays`() async throws {
        let uses = Mutex(6)
        try await eventually { loop in
            Self.use(10, BufferPool.leastSealed, of: loop)
        } holds: { loop in
            #expect(loop.buffers.kept == 10 * BufferPool.readSize)
            Self.use(10, BufferPool.leastSealed, of: loop)
            return uses.withLock {
                $0 -= 1
                return $0 == 0
            }
        }
    }

    /// Has so many buffers out, with so many bytes in each.
    private static func use(_ count: Int, _ bytes: Int, of loop: LoopContext) {
        var lent = (0..<count).map { _ in loop.takeRead() }
        for index in lent.indices { lent[index].writeRepeatingByte(1, count: bytes) }
        while let buffer = lent.popLast() { loop.giveBack(buffer) }
    }

    private static func stage(on loop: LoopContext) {
        let lent = (0...LoopContext.fewStaged).map { _ in loop.takeStaging() }
        for buffer in lent { loop.giveBack(staging: buffer) }
        #expect(loop.staging.count > LoopContext.fewStaged)
    }

    private struct NeverHeld: Error {}

    /// Calls `body` on an event loop of its own, then `holds` until it does, for 20 times: twice as often as the event loop looks
    /// for rest, however slow the machine is, for both are its tasks.
    private func eventually(
        _ body: @escaping @Sendable (LoopContext) -> Void, holds: @escaping @Sendable (LoopContext) -> Bool
    ) async throws {
        let pause = TimeAmount.nanoseconds(LoopContext.rest.nanoseconds / 2)
        let left = Mutex(20)
        try await withEventLoops(1) { group in
            let eventLoop = group.any()
            let done = eventLoop.makePromise(of: Void.self)
            eventLoop.execute {
                let loop = LoopContext.of(eventLoop)
                body(loop)
                eventLoop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { task in
                    let isLast = left.withLock {
                        $0 -= 1
                        return $0 == 0
                    }
                    if holds(loop) { done.succeed() } else if isLast { done.fail(NeverHeld()) } else { return }
                    task.cancel()
                }
            }
            try await done.futureResult.get()
        }
    }
}

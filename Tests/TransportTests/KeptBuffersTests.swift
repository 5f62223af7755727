import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Transport

/// What an event loop keeps of the buffers that it had out: memory new to the process costs a fault for each page.
struct KeptBuffersTests {
    private static let many = 100

    @Test func `as many buffers are kept as were out at a time`() async throws {
        try await withContext { loop in
            var first = Self.lend(Self.many, by: loop)
            let addresses = Set(first.map(Self.address))
            // Nobody else may hold one that comes back.
            while let buffer = first.popLast() { loop.giveBack(buffer) }
            let second = Self.lend(Self.many, by: loop)
            #expect(Set(second.map(Self.address)) == addresses)
            #expect(loop.kept == 0)
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `those that are not needed any more are let go, and the others are not`() async throws {
        let needed = Mutex<UInt?>(nil)
        try await withContext { loop in
            for buffer in Self.lend(Self.many, by: loop) { loop.giveBack(buffer) }
        } until: { loop in
            // One is still in use, always the same.
            for buffer in Self.lend(1, by: loop) {
                let address = Self.address(buffer)
                needed.withLock {
                    #expect($0 == nil || $0 == address)
                    $0 = address
                }
                loop.giveBack(buffer)
            }
            return loop.kept == LoopContext.readSize
        }
    }

    @Test(.timeLimit(.minutes(1)))
    func `nothing is kept at rest, nor many that were never full`() async throws {
        try await withContext { loop in
            for buffer in Self.lend(Self.many, by: loop) { loop.giveBack(buffer) }
        } until: { loop in
            loop.kept == 0
        }
        try await withContext { loop in
            for buffer in (0..<Self.many).map({ _ in loop.takeRead() }) { loop.giveBack(buffer) }
            #expect(loop.kept > 0)
        } until: { loop in
            loop.kept == 0
        }
    }

    /// So many full buffers.
    private static func lend(_ count: Int, by loop: LoopContext) -> [ByteBuffer] {
        (0..<count).map { _ in
            var buffer = loop.takeRead()
            buffer.writeRepeatingByte(1, count: LoopContext.leastSealed)
            return buffer
        }
    }

    private static func address(_ buffer: ByteBuffer) -> UInt {
        buffer.withVeryUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }

    /// `body` with the context of an event loop of its own, and `isDone` again and again until it holds.
    private func withContext(
        _ body: @escaping @Sendable (LoopContext) -> Void,
        until isDone: @escaping @Sendable (LoopContext) -> Bool = { _ in true }
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let eventLoop = group.next()
        try await eventLoop.submit { body(LoopContext.of(eventLoop)) }.get()
        while try await !eventLoop.submit({ isDone(LoopContext.of(eventLoop)) }).get() {
            try await Task.sleep(for: .milliseconds(100))
        }
        try await group.shutdownGracefully()
    }
}

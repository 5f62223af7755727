import Mux
import NIOCore
import NIOPosix
import TLSEngine
import Testing
import Wire

@testable import Transport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What waits for a socket, on a real pair of them.
@Suite(.timeLimit(.minutes(1))) struct UnsentTests {
    @Test func `leaves in order, whatever the socket takes`() throws {
        let sockets = try SocketPair()
        var unsent = Unsent()
        var wanted: [UInt8] = []
        var done = 0
        var received: [UInt8] = []
        // Some are copied behind the one before, some are larger than what the socket takes at once.
        for (number, size) in [1, 20_000, 300_000, 5, 16_384, 16_385, 1_000_000, 40].enumerated() {
            var batch = ByteBufferAllocator().buffer(capacity: size + 100)
            let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number) }
            batch.writeBytes(bytes)
            wanted += bytes
            unsent.append(batch)
            try unsent.send(to: sockets.near) { _ in done += 1 }
            #expect(unsent.bytes == wanted.count - received.count - sockets.waiting)
        }
        #expect(!unsent.isEmpty)
        while received.count < wanted.count {
            received += sockets.read()
            try unsent.send(to: sockets.near) { _ in done += 1 }
        }
        #expect(received == wanted)
        #expect(unsent.isEmpty && unsent.bytes == 0)
        // Three were copied.
        #expect(done == 5)
    }

    @Test func `says that a small batch was copied`() throws {
        var unsent = Unsent()
        var first = ByteBufferAllocator().buffer(capacity: 100)
        first.writeString("abc")
        let next = [first, ByteBuffer(string: "def"), ByteBuffer(repeating: 0, count: 1000)]
        #expect(next.map { unsent.append($0) } == [true, false, true])
        #expect(first == ByteBuffer(string: "abc"))
        #expect(Array(unsent.takeAll()) == [ByteBuffer(string: "abcdef"), next[2]])
        #expect(unsent.isEmpty)
    }

    @Test func `throws what a broken socket says, and keeps what did not leave`() throws {
        let sockets = try SocketPair()
        var unsent = Unsent()
        unsent.append(ByteBuffer(string: "abc"))
        shutdown(sockets.far, CInt(SHUT_RDWR))
        let near = sockets.near
        let error = #expect(throws: IOError.self) { try unsent.send(to: near) { _ in } }
        #expect(error?.errnoCode == EPIPE)
        #expect(unsent.bytes == 3)
    }
}

/// A link that has measured a round trip, on a real socket whose other end reads when the test says so.
@Suite(.timeLimit(.minutes(1))) struct LinkSendTests {
    private static let bytes = 4 << 20

    @Test func `what the socket of a long link does not take waits at the link, and leaves as it is read`() async throws
    {
        try await withScene(roundTrip: .milliseconds(40)) { scene in
            try await scene.write(Self.bytes) { #expect($0.unsent.bytes > 0 && $0.buffered == 0 && !$0.isWritable) }
            try await scene.readAll(Self.bytes)
            try await scene.on { #expect($0.unsent.isEmpty && $0.isWritable) }
        }
    }

    @Test func `a socket that takes nothing for a round trip is left to NIO, and what is written later comes behind`()
        async throws
    {
        try await withScene(roundTrip: .milliseconds(10)) { scene in
            try await scene.write(Self.bytes)
            while try await scene.on({ !$0.unsent.isEmpty }) { await Task.yield() }
            try await scene.on { #expect($0.buffered > 0 && !$0.isWritable) }
            try await scene.write(70_000)
            try await scene.on { #expect($0.unsent.isEmpty) }
            try await scene.readAll(Self.bytes + 70_000)
            try await scene.write(Self.bytes) { #expect($0.unsent.bytes > 0 && $0.buffered == 0) }
            try await scene.readAll(Self.bytes)
        }
    }

    @Test func `what the socket of a short link does not take is NIO's at once`() async throws {
        try await withScene(roundTrip: .milliseconds(1)) { scene in
            try await scene.write(Self.bytes) { #expect($0.unsent.isEmpty && $0.buffered > 0 && !$0.isWritable) }
            try await scene.readAll(Self.bytes)
        }
    }

    /// Short links, and long ones.
    @Test(arguments: [1, 40])
    func `the memory of what waited is used again, for batches and for reads`(roundTrip: Int64) async throws {
        let (batches, size) = (16, 200_000)
        try await withScene(roundTrip: .milliseconds(roundTrip)) { scene in
            let busy = try await scene.keepFromRest()
            for _ in 0..<batches { try await scene.write(size) }
            try await scene.on { #expect(!$0.isWritable) }
            try await scene.readAll(batches * size)
            try await scene.on { link in
                let loop = link.mux.loop
                for _ in 0..<batches / 2 {
                    #expect(loop.takeSealed().storageCapacity >= size)
                    #expect(loop.takeRead().storageCapacity >= size)
                }
                #expect(loop.takeSealed().storageCapacity == BufferPool.leastSealed)
            }
            busy.cancel()
        }
    }

    @Test(arguments: [4, BufferPool.leastSealed - 1, BufferPool.leastSealed])
    func `few bytes behind others that wait hold no large buffer`(count: Int) async throws {
        let isCopied = count < BufferPool.leastSealed
        try await withScene(roundTrip: .milliseconds(1)) { scene in
            try await scene.write(Self.bytes)
            try await scene.on { link in
                let loop = link.mux.loop
                // One that nobody else holds is used again as it is.
                var lent = loop.takeRead()
                lent.writeString("x")
                let memory = lent.withVeryUnsafeBytes(\.baseAddress)
                loop.giveBack(lent)
                lent = ByteBuffer()
                for number in 0..<10 {
                    var batch = loop.takeSealed()
                    let isSame = batch.withVeryUnsafeBytes(\.baseAddress) == memory
                    #expect(link.buffered > 0 && isSame == (isCopied || number == 0))
                    batch.writeRepeatingByte(1, count: count)
                    link.write(batch)
                }
            }
        }
    }

    @Test func `more than the limit ends the link`() async throws {
        var limits = LinkLimits()
        limits.bufferedBytes = 1 << 20
        try await withScene(roundTrip: .milliseconds(40), limits: limits) { scene in
            try await scene.write(Self.bytes)
            try await scene.channel.closeFuture.get()
            try await scene.on { #expect($0.unsent.isEmpty) }
        }
    }

    @Test(arguments: [1, 40])
    func `a broken socket ends the link, in the peer's words`(roundTrip: Int64) async throws {
        try await withScene(roundTrip: .milliseconds(roundTrip)) { scene in
            scene.breakOff()
            try await scene.write(Self.bytes)
            try await scene.channel.closeFuture.get()
            try await scene.on { #expect($0.unsent.isEmpty && $0.failure == "connection closed by the peer") }
        }
    }

    private func withScene(
        roundTrip: TimeAmount, limits: LinkLimits = LinkLimits(), _ body: (LinkScene) async throws -> Void
    ) async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        do {
            let scene = try await LinkScene(on: group.next(), roundTrip: roundTrip, limits: limits)
            try await body(scene)
            try? await scene.channel.close()
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
    }
}

/// `@unchecked Sendable`: the link is touched on its event loop alone.
private final class LinkScene: @unchecked Sendable {
    let channel: any Channel
    private let link: NIOLoopBound<Link>
    private let far: CInt
    private var written = 0
    private var read = 0

    init(on eventLoop: any EventLoop, roundTrip: TimeAmount, limits: LinkLimits) async throws {
        // The channel closes the near end.
        let sockets = try makeSocketPair()
        far = sockets.far
        let bound = try await eventLoop.submit {
            let identity = try Identity.generate(commonName: "somebody")
            let context = try TLSContext(role: .server, identity: identity, alpn: Protocol.linkALPN)
            let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
            let link = Link(role: .acceptor, tls: tls, limits: limits, eventLoop: eventLoop)
            link.mux.session.measured(roundTrip: roundTrip.nanoseconds)
            return NIOLoopBound(link, eventLoop: eventLoop)
        }.get()
        link = bound
        channel = try await ClientBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(bound.value) }
            }
            .withConnectedSocket(sockets.near).get()
    }

    deinit { close(far) }

    func on<Value: Sendable>(_ body: @escaping @Sendable (Link) throws -> Value) async throws -> Value {
        try await channel.eventLoop.submit { try body(self.link.value) }.get()
    }

    /// Has the event loop see a full buffer, too large to be kept, and need all that it keeps, more often than it looks for
    /// rest, however slow the machine is: both are the event loop's tasks.
    func keepFromRest() async throws -> RepeatedTask {
        let pause = TimeAmount.nanoseconds(LoopContext.rest.nanoseconds / 2)
        return try await on { link in
            let loop = link.mux.loop
            return self.channel.eventLoop.scheduleRepeatedTask(initialDelay: pause, delay: pause) { _ in
                loop.giveBack(ByteBuffer(repeating: 0, count: BufferPool.largest + 1))
                var needed: [ByteBuffer] = []
                while loop.buffers.kept > 0 { needed.append(loop.takeSealed()) }
                for buffer in needed { loop.giveBack(buffer) }
            }
        }
    }

    private static func byte(_ number: Int) -> UInt8 { UInt8(truncatingIfNeeded: number &* 31 &+ number >> 8) }

    /// Some of it in small pieces. Looks at the link in the same turn, before anything can be tried again.
    func write(_ count: Int, _ look: @escaping @Sendable (Link) -> Void = { _ in }) async throws {
        try await on { link in
            var rest = count
            while rest > 0 {
                let size = min(rest, rest % 3 == 0 ? 300 : 200_000)
                link.write(ByteBuffer(bytes: (self.written..<self.written + size).map(LinkScene.byte)))
                self.written += size
                rest -= size
            }
            look(link)
        }
    }

    /// Waits for so many bytes, which have to be those that were written.
    func readAll(_ count: Int) async throws {
        let end = read + count
        var buffer = [UInt8](repeating: 0, count: 100_000)
        while read < end, !Task.isCancelled {
            let received = recv(far, &buffer, buffer.count, 0)
            guard received > 0 else {
                await Task.yield()
                continue
            }
            try #require(buffer[..<received].elementsEqual((read..<read + received).lazy.map(LinkScene.byte)))
            read += received
        }
        while try await on({ !$0.isWritable }), !Task.isCancelled { await Task.yield() }
    }

    func breakOff() { shutdown(far, CInt(SHUT_RDWR)) }
}

private struct SocketPair: ~Copyable {
    let near: CInt
    let far: CInt

    init() throws { (near, far) = try makeSocketPair() }

    /// Bytes that the far end has not read.
    var waiting: Int {
        var count: CInt = 0
        _ = ioctl(far, UInt(FIONREAD), &count)
        return Int(count)
    }

    func read() -> [UInt8] {
        Array(unsafeUninitializedCapacity: 100_000) { $1 = max(0, recv(far, $0.baseAddress, 100_000, 0)) }
    }

    deinit {
        close(near)
        close(far)
    }
}

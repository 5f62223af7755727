import NIOCore
import Testing

@testable import Transport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What waits for a socket, on a real pair of them.
@Suite struct UnsentTests {
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
        #expect((5...8).contains(done))
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
        #expect(throws: IOError.self) { try unsent.send(to: near) { _ in } }
        #expect(unsent.bytes == 3)
    }
}

private struct SocketPair: ~Copyable {
    let near: CInt
    let far: CInt

    init() throws {
        var ends: [CInt] = [0, 0]
        #if canImport(Glibc)
        let code = socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends)
        #else
        let code = socketpair(AF_UNIX, SOCK_STREAM, 0, &ends)
        #endif
        guard code == 0 else { throw IOError(errnoCode: errno, reason: "socketpair") }
        for end in ends { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        (near, far) = (ends[0], ends[1])
    }

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

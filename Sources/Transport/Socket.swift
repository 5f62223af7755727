package import NIOCore
import NIOPosix

/// How adit sets up every TCP connection.
package enum Socket {
    /// Options for links and forwarded connections alike.
    package static func configure(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try? options.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try? options.setOption(.socketOption(.so_keepalive), value: 1)
        // With one message a read NIO keeps one buffer, the first.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: LoopReadAllocator())
    }
}

/// Has the channels of an event loop read into memory that they share: an idle connection holds next to nothing, and a busy
/// one reads into memory that is in the processor's cache.
///
/// A channel keeps the first buffer that it reads into, so that one is small. The others go back to the event loop's
/// pool, through whoever has taken the bytes out of them.
private struct LoopReadAllocator: RecvByteBufferAllocator {
    private static let firstSize = 512

    private var hasRead = false

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard hasRead, let loop = LoopContext.ofThread else {
            return allocator.buffer(capacity: LoopReadAllocator.firstSize)
        }
        return loop.takeRead()
    }

    /// True lets NIO ask for another buffer each time.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }
}

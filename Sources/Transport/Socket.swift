package import NIOCore
import NIOPosix

/// How adit sets up every TCP connection.
package enum Socket {
    /// What a connection is for.
    package enum Use {
        case link
        /// Either of its directions may end before the other.
        case forward

        /// Bytes that a channel takes with its first read. It keeps a buffer of that size.
        fileprivate var firstRead: Int {
            switch self {
            // A handshake is long enough that one more read does not show.
            case .link: 64
            // Most connections are short, and this may be all that is ever sent.
            case .forward: 2048
            }
        }
    }

    /// Sets a new channel's options, from its initializer.
    package static func configure(_ channel: any Channel, for use: Use) throws {
        guard let options = channel.syncOptions else { return }
        try? options.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try? options.setOption(.socketOption(.so_keepalive), value: 1)
        // With one message a read NIO keeps one buffer, the first.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: LoopReadAllocator(firstSize: use.firstRead))
        if use == .forward { try options.setOption(.allowRemoteHalfClosure, value: true) }
    }
}

/// Has the channels of an event loop read into memory that they share: an idle connection holds next to nothing, and a busy
/// one reads into memory that is in the processor's cache.
///
/// A channel keeps the first buffer that it reads into, so that one is small. The others go back to the event loop's
/// pool, through whoever has taken the bytes out of them.
private struct LoopReadAllocator: RecvByteBufferAllocator {
    let firstSize: Int
    private var hasRead = false

    init(firstSize: Int) {
        self.firstSize = firstSize
    }

    func buffer(allocator: ByteBufferAllocator) -> ByteBuffer {
        guard hasRead, let loop = LoopContext.ofThread else {
            return allocator.buffer(capacity: firstSize)
        }
        return loop.takeRead()
    }

    /// True lets NIO ask for another buffer each time.
    mutating func record(actualReadBytes: Int) -> Bool {
        hasRead = true
        return true
    }
}

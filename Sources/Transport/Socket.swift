import CPoller
package import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// How adit sets up every TCP connection: without Nagle's algorithm, and with keepalive.
package enum Socket {
    /// Sets a new link's options, from its channel's initializer.
    package static func configure(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try? options.setOption(.tcpOption(.tcp_nodelay), value: 1)
        try? options.setOption(.socketOption(.so_keepalive), value: 1)
        // With one message a read NIO keeps one buffer, the first.
        try options.setOption(.maxMessagesPerRead, value: 1)
        try options.setOption(.recvAllocator, value: LoopReadAllocator())
    }

    /// What may wait to be read on a connection within one machine, in bytes; with its bookkeeping it takes twice that of
    /// the kernel's memory at most.
    ///
    /// When the machine's TCP connections have filled what Linux lets them have (tcp(7), `tcp_mem`), it drops what arrives
    /// for a socket that holds more than an average one could, and that connection, if it is a link with all of its
    /// streams, stands still until the sender tries again. So much is little enough for some thousand sockets, and for one
    /// stream as good as more, because nothing is on the way. A system may allow less (`rmem_max`).
    private static let localReceiveBuffer = 160 * 1024

    /// Bounds what waits to be read, if both ends of the link have the same address: they are on one machine. To be called
    /// when it is connected. Two containers of a machine are not seen.
    static func boundIfLocal(_ channel: any Channel) {
        #if os(Linux)
        guard let options = channel.syncOptions, let address = channel.localAddress?.ipAddress,
            address == channel.remoteAddress?.ipAddress
        else { return }
        try? options.setOption(.socketOption(.so_rcvbuf), value: localReceiveBuffer)
        // What older kernels chose for it when it was connected would stay, and be a third of that.
        try? options.setOption(.tcpOption(.init(rawValue: TCP_WINDOW_CLAMP)), value: localReceiveBuffer)
        #endif
    }

    /// A socket to connect a forward to `address`, or to listen for forwards there: non-blocking, and the caller's to
    /// close. On Linux and loopback, what may wait in it to be read is bounded, and in what it accepts. Throws `IOError`.
    package static func make(for address: SocketAddress) throws -> CInt {
        let descriptor = adit_socket_make(address.protocol.rawValue)
        guard descriptor >= 0 else { throw IOError(errnoCode: -descriptor, reason: "socket") }
        #if os(Linux)
        if address.isLoopback {
            var size = CInt(localReceiveBuffer)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        #endif
        return descriptor
    }

    /// Has closing the socket tell its peer of a reset, and drop what was not sent.
    package static func resetWhenClosed(_ descriptor: CInt) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Where a socket of IPv4 or IPv6 is bound to; nil if it is not, or not a socket.
    package static func localAddress(of descriptor: CInt) -> SocketAddress? {
        var storage = sockaddr_storage()
        var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutablePointer(to: &storage) { pointer in
            let raw = UnsafeMutableRawPointer(pointer)
            guard getsockname(descriptor, raw.assumingMemoryBound(to: sockaddr.self), &size) == 0 else { return nil }
            return switch CInt(pointer.pointee.ss_family) {
            case AF_INET: SocketAddress(raw.load(as: sockaddr_in.self))
            case AF_INET6: SocketAddress(raw.load(as: sockaddr_in6.self))
            default: nil
            }
        }
    }
}

/// Has the links of an event loop read into memory that they share: an idle one holds next to nothing, and a busy
/// one reads into memory that is in the processor's cache.
///
/// A channel keeps the first buffer that it reads into, so that one is small: a handshake is long enough that one more read
/// does not show. The others go back to the event loop's
/// pool, through whoever has taken the bytes out of them.
private struct LoopReadAllocator: RecvByteBufferAllocator {
    private static let firstSize = 64
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

import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// One end of a TCP connection. Calls block, for as long as a test has patience. Two threads may use it at once, one to
/// send and one to receive.
final class Connection: Sendable {
    private let socket: Socket

    /// Connects to a port of this machine.
    ///
    /// - Throws: `SocketError`.
    convenience init(to port: UInt16, host: String = "127.0.0.1", receiveBuffer: Int32? = nil) throws {
        let socket = try Socket.tcp()
        if let receiveBuffer { try socket.set(SOL_SOCKET, SO_RCVBUF, to: receiveBuffer) }
        let code = Socket.withAddress(host, port) { connect(socket.number, $0, $1) }
        guard code == 0 else { throw SocketError("connect to \(host):\(port)", errno) }
        try self.init(socket)
    }

    init(_ socket: Socket) throws {
        self.socket = socket
        // Far above what a loaded machine needs, and every test that hangs ends.
        var limit = timeval(tv_sec: 60 * timeScale, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            guard setsockopt(socket.number, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size)) == 0
            else { throw SocketError("set a time limit", errno) }
        }
    }

    /// Sends all of it.
    ///
    /// - Throws: `SocketError`; with EAGAIN when the other end takes nothing for a minute.
    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                systemSend(socket.number, $0.baseAddress.map { $0 + sent }, $0.count - sent, noSignal)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw SocketError("send", errno) }
            sent += count
        }
    }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// From now on few bytes do not wait for the receipt of others (TCP_NODELAY).
    func sendFewBytesAtOnce() throws { try socket.set(Int32(IPPROTO_TCP), TCP_NODELAY, to: 1) }

    /// Sends a byte of urgent data (RFC 6093), which a receiver that does not ask for it never sees.
    func sendUrgent(_ byte: UInt8) throws {
        guard systemSend(socket.number, [byte], 1, noSignal | Int32(MSG_OOB)) == 1
        else { throw SocketError("send", errno) }
    }

    /// Sends zeros until none have been taken for half a second, or `limit` of them have gone; how many those are.
    ///
    /// - Throws: `SocketError`.
    func sendUntilFull(limit: Int) throws -> Int {
        let zeros = [UInt8](repeating: 0, count: 65_536)
        var sent = 0
        while sent < limit {
            let count = systemSend(socket.number, zeros, zeros.count, noSignal | Int32(MSG_DONTWAIT))
            if count < 0 {
                guard errno == EAGAIN else { throw SocketError("send", errno) }
                var event = pollfd(fd: socket.number, events: Int16(POLLOUT), revents: 0)
                guard poll(&event, 1, 500) == 1 else { break }
            }
            sent += max(count, 0)
        }
        return sent
    }

    /// What there is, at least a byte; nothing at the end of what the other end sends.
    ///
    /// - Throws: `SocketError`; with EAGAIN when nothing comes for a minute.
    func receive(atMost limit: Int = 65_536) throws -> [UInt8] {
        try Array(unsafeUninitializedCapacity: limit) { buffer, initialized in
            var count = recv(socket.number, buffer.baseAddress, limit, 0)
            while count < 0, errno == EINTR { count = recv(socket.number, buffer.baseAddress, limit, 0) }
            guard count >= 0 else { throw SocketError("receive", errno) }
            initialized = count
        }
    }

    /// Exactly so many bytes.
    ///
    /// - Throws: `SocketError`, also when the other end finishes before.
    func receive(exactly count: Int) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        while bytes.count < count {
            let more = try receive(atMost: count - bytes.count)
            guard !more.isEmpty else { throw SocketError("receive: the end after \(bytes.count) of \(count) bytes", 0) }
            bytes += more
        }
        return bytes
    }

    /// Everything up to the end of what the other end sends.
    func receiveToEnd() throws -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let more = try receive()
            guard !more.isEmpty else { return bytes }
            bytes += more
        }
    }

    /// Half-closes: the other end comes to the end of what it receives, and may go on sending.
    func finishSending() throws {
        guard shutdown(socket.number, Int32(SHUT_WR)) == 0 else { throw SocketError("shutdown", errno) }
    }

    /// Vanishes as a crashed program's machine would make it vanish: with a reset.
    func reset() throws {
        var linger = linger(l_onoff: 1, l_linger: 0)
        guard setsockopt(socket.number, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<linger>.size)) == 0
        else { throw SocketError("set SO_LINGER", errno) }
        socket.close()
    }

    func close() { socket.close() }
}

/// A system call on a socket failed.
struct SocketError: Error, CustomStringConvertible {
    let call: String
    /// The system's number for the reason; 0 where it had nothing against it.
    let code: Int32

    init(_ call: String, _ code: Int32) {
        self.call = call
        self.code = code
    }

    var description: String { code == 0 ? call : "\(call): \(String(cString: strerror(code)))" }
}

/// A socket's descriptor. Programs that the tests start do not inherit it. Closing it twice closes it once.
final class Socket: Sendable {
    private let descriptor: Mutex<Int32?>

    init(_ descriptor: Int32) {
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        self.descriptor = Mutex(descriptor)
    }

    deinit { close() }

    static func tcp() throws -> Socket {
        #if canImport(Glibc)
        let number = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        #else
        let number = socket(AF_INET, SOCK_STREAM, 0)
        #endif
        guard number >= 0 else { throw SocketError("socket", errno) }
        return Socket(number)
    }

    var number: Int32 { descriptor.withLock { $0 ?? -1 } }

    func set(_ level: Int32, _ option: Int32, to value: Int32) throws {
        var value = value
        guard setsockopt(number, level, option, &value, socklen_t(MemoryLayout<Int32>.size)) == 0 else {
            throw SocketError("setsockopt", errno)
        }
    }

    func close() {
        descriptor.withLock { descriptor in
            if let open = descriptor { systemClose(open) }
            descriptor = nil
        }
    }

    /// Calls `body` with an IPv4 literal and a port as the system wants them.
    static func withAddress<Result>(
        _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        inet_pton(AF_INET, host, &address.sin_addr)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}

#if canImport(Darwin)
// TestSupport ignores the signal altogether.
private let noSignal: Int32 = 0
#else
private let noSignal = Int32(MSG_NOSIGNAL)
#endif

// Inside the classes above, the plain names mean their own methods.
private func systemSend(_ number: Int32, _ bytes: UnsafeRawPointer?, _ count: Int, _ flags: Int32) -> Int {
    send(number, bytes, count, flags)
}
private func systemClose(_ number: Int32) { _ = close(number) }

import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A TCP socket on 127.0.0.1. Everything on it has a deadline. Closed with its last reference.
final class LoopbackSocket: Sendable {
    /// What reading gave.
    enum Received: Equatable, Sendable {
        case bytes([UInt8])
        case end
        case reset
    }

    private let descriptor: Int32

    /// Takes over a connected socket.
    init(accepted descriptor: Int32) {
        self.descriptor = descriptor
    }

    /// Connects to a port of 127.0.0.1.
    init(to port: UInt16, in network: Network? = nil) throws {
        let descriptor = try Self.make(in: network)
        self.descriptor = descriptor
        guard withAddress(port, { systemConnect(descriptor, $0, $1) }) == 0 else {
            throw ProcessError("cannot connect to 127.0.0.1:\(port): \(String(cString: strerror(errno)))")
        }
    }

    deinit { close(descriptor) }

    static func make(in network: Network?) throws -> Int32 {
        let make: @Sendable () -> Int32 = {
            socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        }
        let descriptor = try network?.makeSocket(make) ?? make()
        guard descriptor >= 0 else { throw ProcessError("no socket: \(String(cString: strerror(errno)))") }
        return descriptor
    }

    /// Writes all of it, as far as the far side takes it in time.
    func write(_ bytes: [UInt8], within limit: Duration = Process.patience) throws {
        let deadline = ContinuousClock.now + limit
        var rest = bytes[...]
        while !rest.isEmpty {
            try wait(for: POLLOUT, until: deadline)
            let count = rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT)) }
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            guard count > 0 else { throw ProcessError("cannot write: \(String(cString: strerror(errno)))") }
            rest = rest.dropFirst(count)
        }
    }

    /// What comes next, at most 64 KiB of it.
    func read(within limit: Duration = Process.patience) throws -> Received {
        let deadline = ContinuousClock.now + limit
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            try wait(for: POLLIN, until: deadline)
            let count = recv(descriptor, &chunk, chunk.count, Int32(MSG_DONTWAIT))
            if count > 0 { return .bytes(Array(chunk.prefix(count))) }
            if count == 0 { return .end }
            if errno == ECONNRESET { return .reset }
            guard errno == EAGAIN || errno == EINTR else {
                throw ProcessError("cannot read: \(String(cString: strerror(errno)))")
            }
        }
    }

    /// Exactly so many bytes.
    func read(_ count: Int, within limit: Duration = Process.patience) throws -> [UInt8] {
        let deadline = ContinuousClock.now + limit
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard case .bytes(let more) = try read(within: deadline - .now) else {
                throw ProcessError("the connection ended after \(bytes.count) of \(count) bytes")
            }
            bytes += more
        }
        return bytes
    }

    /// Waits until the far side has ended the connection, and returns what it said before.
    func readToEnd(within limit: Duration) throws -> [UInt8] {
        let deadline = ContinuousClock.now + limit
        var bytes: [UInt8] = []
        while case .bytes(let more) = try read(within: deadline - .now) { bytes += more }
        return bytes
    }

    /// Whether the far side, an echo, gives back what it is told.
    func echoes(_ text: String, within limit: Duration = Process.patience) throws -> Bool {
        try write(Array(text.utf8), within: limit)
        return try read(text.utf8.count, within: limit) == Array(text.utf8)
    }

    private func wait(for event: Int32, until deadline: ContinuousClock.Instant) throws {
        while true {
            let left = (deadline - .now).milliseconds
            guard left > 0 else { throw ProcessError("nothing happened on the connection in time") }
            var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
            let count = poll(&entry, 1, Int32(clamping: left))
            if count > 0 { return }
            guard count == 0 || errno == EINTR else {
                throw ProcessError("cannot poll: \(String(cString: strerror(errno)))")
            }
        }
    }
}

/// A service on 127.0.0.1 that gives every connection back what it says.
final class EchoService: Sendable {
    let port: UInt16
    private let descriptor: Int32
    private let count = Atomic(0)

    /// Connections accepted so far.
    var connections: Int { count.load(ordering: .relaxed) }
    var address: String { "127.0.0.1:\(port)" }

    init(in network: Network? = nil) throws {
        let descriptor = try LoopbackSocket.make(in: network)
        self.descriptor = descriptor
        guard withAddress(0, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 256) == 0 else {
            throw ProcessError("cannot listen: \(String(cString: strerror(errno)))")
        }
        port = try LoopbackSocket.port(of: descriptor)
        startThread { [weak self] in
            while true {
                let accepted = accept(descriptor, nil, nil)
                guard accepted >= 0 else {
                    if errno == EINTR { continue }
                    break
                }
                _ = self?.count.add(1, ordering: .relaxed)
                startThread { Self.serve(accepted) }
            }
            close(descriptor)
        }
    }

    /// Wakes the thread that accepts, which closes the socket.
    deinit { shutdown(descriptor, Int32(SHUT_RDWR)) }

    private static func serve(_ descriptor: Int32) {
        defer { close(descriptor) }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &chunk, chunk.count, 0)
            guard count > 0 else { return }
            var sent = 0
            while sent < count {
                let more = chunk.withUnsafeBytes {
                    send(descriptor, $0.baseAddress.map { $0 + sent }, count - sent, Int32(MSG_NOSIGNAL))
                }
                guard more > 0 else { return }
                sent += more
            }
        }
    }
}

extension LoopbackSocket {
    /// A port that was free a moment ago, and that nobody listens on.
    static func freePort() throws -> UInt16 {
        let descriptor = try make(in: nil)
        defer { close(descriptor) }
        guard withAddress(0, { bind(descriptor, $0, $1) }) == 0 else {
            throw ProcessError("no port: \(String(cString: strerror(errno)))")
        }
        return try port(of: descriptor)
    }

    fileprivate static func port(of descriptor: Int32) throws -> UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard code == 0 else { throw ProcessError("no port: \(String(cString: strerror(errno)))") }
        return UInt16(bigEndian: address.sin_port)
    }
}

// Inside `LoopbackSocket`, the plain name would be looked for among its own.
private func systemConnect(_ descriptor: Int32, _ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> Int32 {
    connect(descriptor, address, length)
}

private func withAddress(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
}

extension Duration {
    fileprivate var milliseconds: Int64 {
        components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000
    }
}

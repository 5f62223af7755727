/// A blocking TCP socket on loopback.
final class Socket {
    private let descriptor: Int32

    private init(_ descriptor: Int32) throws {
        self.descriptor = descriptor
        var patience = timeval(tv_sec: .init(Child.patienceMilliseconds / 1000), tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        try check(setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, size), "setsockopt")
        try check(setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, size), "setsockopt")
    }

    deinit {
        close(descriptor)
    }

    /// Listens on a port of the system's choice.
    static func listening() throws -> (socket: Socket, port: UInt16) {
        let socket = try Socket(newDescriptor())
        var address = loopback(port: 0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                try check(bind(socket.descriptor, generic, size), "bind")
                try check(listen(socket.descriptor, 8), "listen")
                _ = try check(getsockname(socket.descriptor, generic, &size), "getsockname")
            }
        }
        return (socket, UInt16(bigEndian: address.sin_port))
    }

    static func connected(to port: UInt16) throws -> Socket {
        let socket = try Socket(newDescriptor())
        var address = loopback(port: port)
        try withUnsafeMutablePointer(to: &address) { pointer in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                _ = try check(connect(socket.descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size)), "connect")
            }
        }
        return socket
    }

    func accepted() throws -> Socket {
        try Socket(check(accept(descriptor, nil, nil), "accept"))
    }

    func send(_ bytes: [UInt8]) throws {
        guard writeAll(bytes, to: descriptor) else { throw SystemFailure("send") }
    }

    /// What has come, after waiting for something; empty at the end.
    func receive() throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        let count = try check(recv(descriptor, &chunk, chunk.count, 0), "receive")
        return Array(chunk[..<count])
    }

    private static func newDescriptor() throws -> Int32 {
        #if os(Linux)
        let stream = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        #else
        let stream = SOCK_STREAM
        #endif
        return try check(socket(AF_INET, stream, 0), "socket")
    }

    private static func loopback(port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        return address
    }
}

import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A port of 127.0.0.1 that is the test's. Nothing listens there, and nobody else can, until `listen`.
final class Listener: Target {
    let port: UInt16
    private let socket: Socket

    /// - Parameter listening: Whether connections are taken from the beginning.
    init(listening: Bool = true) throws {
        let socket = try Socket.tcp()
        self.socket = socket
        guard Socket.withAddress("127.0.0.1", 0, { bind(socket.number, $0, $1) }) == 0 else {
            throw SocketError("bind", errno)
        }
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(socket.number, $0, &length) }
        }
        guard code == 0 else { throw SocketError("getsockname", errno) }
        port = UInt16(bigEndian: address.sin_port)
        if listening { try listen() }
    }

    /// - Parameter queue: Connections that wait for `accept`, beside one more on Linux. Another has to knock again.
    func listen(queue: Int32 = 1024) throws {
        guard systemListen(socket.number, queue) == 0 else { throw SocketError("listen", errno) }
    }

    /// Waits for the next connection.
    func accept(within limit: Duration = Process.patience) throws -> Connection {
        var event = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        let milliseconds = limit * timeScale / .milliseconds(1)
        guard poll(&event, 1, Int32(clamping: Int(milliseconds))) == 1 else {
            throw SocketError("accept: no connection within \(limit)", 0)
        }
        let number = systemAccept(socket.number, nil, nil)
        guard number >= 0 else { throw SocketError("accept", errno) }
        return try Connection(Socket(number))
    }

    /// Ends what waits in `accept`, and closes the port.
    func close() {
        shutdown(socket.number, Int32(SHUT_RDWR))
        socket.close()
    }
}

/// A target in the test itself: each connection has a thread of its own.
final class Service: Target {
    var port: UInt16 { listener.port }
    private let listener: Listener

    /// - Parameter serve: May throw: the connection then ends, as it does when it returns.
    init(_ serve: @escaping @Sendable (Connection) throws -> Void) throws {
        let listener = try Listener()
        self.listener = listener
        startThread {
            while let connection = try? listener.accept(within: .seconds(3600)) {
                startThread {
                    try? serve(connection)
                    connection.close()
                }
            }
        }
    }

    deinit { listener.close() }

    /// A target that sends back what it receives.
    static func echo() throws -> Service {
        try Service { connection in
            while true {
                let bytes = try connection.receive()
                guard !bytes.isEmpty else { return try connection.finishSending() }
                try connection.send(bytes)
            }
        }
    }
}

private func systemListen(_ number: Int32, _ backlog: Int32) -> Int32 { listen(number, backlog) }
private func systemAccept(
    _ number: Int32, _ address: UnsafeMutablePointer<sockaddr>?, _ length: UnsafeMutablePointer<socklen_t>?
) -> Int32 {
    accept(number, address, length)
}

import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An echo that knows how many connections it has had: none, for one, where somebody was to be kept out.
final class CountedEcho: Target {
    private let count: Count
    private let service: Service

    private final class Count: Sendable {
        let value = Atomic(0)
    }

    init() throws {
        let count = Count()
        self.count = count
        service = try Service { connection in
            count.value.add(1, ordering: .relaxed)
            while case let bytes = try connection.receive(), !bytes.isEmpty { try connection.send(bytes) }
        }
    }

    var port: UInt16 { service.port }
    var address: String { "127.0.0.1:\(port)" }
    var connections: Int { count.value.load(ordering: .relaxed) }
}

extension Connection {
    /// Whether the far side, an echo, gives back what it is told.
    func echoes(_ text: String) throws -> Bool {
        try send(text)
        return try receive(exactly: text.utf8.count) == Array(text.utf8)
    }

    /// Waits until the far side has ended the connection, in whatever order, and returns what it said before.
    func receiveUntilGone() throws -> [UInt8] {
        var bytes: [UInt8] = []
        do {
            while case let more = try receive(), !more.isEmpty { bytes += more }
        } catch let error as SocketError where error.code == ECONNRESET {}
        return bytes
    }
}

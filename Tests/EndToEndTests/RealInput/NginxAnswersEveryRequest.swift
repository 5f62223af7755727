import TestSupport
import Testing

@Suite(.serialized) struct `nginx through the tunnel` {
    private static let connections = 64
    private static let requests = 10_000

    /// Every request asks for something else, so that an answer given to the wrong connection shows.
    @Test func `answers each of 10,000 requests over 64 connections`() throws {
        let server = try Nginx()
        try withTunnel(to: server) { tunnel in
            let workers = (0..<Self.connections).map { worker in
                let numbers = stride(from: worker, to: Self.requests, by: Self.connections)
                return Background { [port = tunnel.port] in
                    let connection = try HTTPConnection(to: port)
                    for number in numbers {
                        let path = "/echo/\(number)/" + randomHex(bytes: number % 300)
                        let answer = try connection.get(path)
                        guard answer == path else { throw ProcessError("\(answer) for \(path)") }
                    }
                    return numbers.underestimatedCount
                }
            }
            let answered = try workers.map { try $0.value(within: .seconds(120)) }
            #expect(answered.reduce(0, +) == Self.requests)
        }
    }
}

/// HTTP/1.1 over a connection that is kept (RFC 9112), as far as an nginx that returns a text needs it.
private final class HTTPConnection {
    private let connection: Connection
    private var received: [UInt8] = []

    init(to port: UInt16) throws {
        connection = try Connection(to: port)
    }

    /// - Throws: `ProcessError` for anything but 200 and a body of the length announced; `SocketError`.
    func get(_ path: String) throws -> String {
        try connection.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
        var lines: [String] = []
        while let line = try line(), !line.isEmpty { lines.append(line) }
        let length = lines.lazy.map { $0.lowercased() }.first { $0.hasPrefix("content-length: ") }
            .flatMap { Int($0.dropFirst("content-length: ".count)) }
        guard let status = lines.first, status.hasPrefix("HTTP/1.1 200 "), let length else {
            throw ProcessError("not an answer: \(lines)")
        }
        while received.count < length { try receive() }
        defer { received.removeFirst(length) }
        return String(decoding: received.prefix(length), as: UTF8.self)
    }

    private func line() throws -> String? {
        while true {
            if let end = received.firstIndex(of: UInt8(ascii: "\n")) {
                defer { received.removeFirst(end + 1) }
                return String(decoding: received[..<end].dropLast(), as: UTF8.self)
            }
            try receive()
        }
    }

    private func receive() throws {
        let more = try connection.receive()
        guard !more.isEmpty else { throw ProcessError("the end in the middle of an answer") }
        received += more
    }
}

#if os(Linux)
import TestSupport
import Testing

@Suite(.serialized) struct `a target whose queue is full` {
    @Test func `gets the connection once there is room`() throws {
        let service = try Listener(listening: false)
        try service.listen(queue: 0)
        // On Linux one waits all the same.
        let first = try Connection(to: service.port)
        try withTunnel(to: service) { tunnel in
            let second = try tunnel.open()
            try second.send("second")
            #expect(try eventually { try isKnocking(at: service.port) })
            try first.send("first")
            #expect(try service.accept().receive(exactly: 5) == Array("first".utf8))
            let served = try service.accept()
            #expect(try served.receive(exactly: 6) == Array("second".utf8))
            try served.send("welcome")
            #expect(try second.receive(exactly: 7) == Array("welcome".utf8))
        }
    }
}

/// Whether a connection to the port has begun and was not answered: SYN-SENT, `02` in proc(5)'s `/proc/net/tcp`.
private func isKnocking(at port: UInt16) throws -> Bool {
    let end = String(port, radix: 16, uppercase: true)
    let remote = "0100007F:" + String(repeating: "0", count: 4 - end.count) + end
    return try text(of: "/proc/net/tcp").split(separator: "\n").contains {
        let fields = $0.split(separator: " ")
        return fields.count > 3 && fields[2] == remote && fields[3] == "02"
    }
}
#endif

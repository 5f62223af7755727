import TestSupport
import Testing

@Suite(.serialized) struct `urgent data` {
    @Test func `does not arrive, and holds up nothing that comes before or after it`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let client = try tunnel.open()
            let served = try service.accept()
            for _ in 0..<100 {
                try client.send("before")
                try client.sendUrgent(7)
                try client.send("after")
                #expect(try served.receive(exactly: 11) == Array("beforeafter".utf8))
            }
        }
    }
}

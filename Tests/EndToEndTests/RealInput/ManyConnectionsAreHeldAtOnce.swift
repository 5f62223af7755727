import TestSupport
import Testing

@Suite(.serialized) struct `many connections` {
    private static let count = 500

    /// One thread does everything, so that all connections are open whenever anything is sent.
    @Test func `are all open at once, and each gets back what it sent`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            var clients: [Connection] = []
            var served: [Connection] = []
            for _ in 0..<Self.count { clients.append(try tunnel.open()) }
            for _ in 0..<Self.count { served.append(try service.accept()) }

            for round in 1...3 {
                let messages = (0..<Self.count).map { _ in Array(randomHex(bytes: 100 * round).utf8) }
                for (client, message) in zip(clients, messages) { try client.send(message) }
                for target in served { try target.send(target.receive(exactly: 200 * round)) }
                for (number, (client, message)) in zip(clients, messages).enumerated() {
                    #expect(try client.receive(exactly: message.count) == message, "connection \(number)")
                }
            }

            for client in clients { try client.finishSending() }
            for target in served {
                #expect(try target.receiveToEnd() == [])
                target.close()
            }
            for client in clients { #expect(try client.receiveToEnd() == []) }
        }
    }
}

#if os(Linux)
import TestSupport
import Testing

/// Linux drops what arrives for a socket that holds much when all together have filled the memory for TCP. A connection
/// would then stand still, and with a link all of its streams.
@Suite struct `within one machine` {
    @Test func `a link has little wait to be read`() throws {
        let service = try Service { try $0.sendPattern(16 << 20) }
        try withTunnel(to: service) { tunnel in
            let wanted = [Int](repeating: try localReceiveBuffer(), count: 4)
            #expect(try receiveBuffers(ofConnectionsTo: tunnel.relay.port) == wanted)
            #expect(try tunnel.open().receivePattern() == 16 << 20)
            #expect(try receiveBuffers(ofConnectionsTo: tunnel.relay.port) == wanted)
        }
    }

    @Test func `so has a forward, at both ends`() throws {
        let (entrance, exit, wanted) = try buffersOfForward(local: "127.0.0.1:0")
        #expect(entrance.count == 2 && entrance.count { $0 == wanted } == 1, "\(entrance)")
        #expect(exit.count == 2 && exit.count { $0 == wanted } == 1, "\(exit)")
    }

    /// What comes from another machine has more on the way.
    @Test func `a port that others reach too leaves it to the kernel`() throws {
        let (entrance, _, wanted) = try buffersOfForward(local: "0.0.0.0:0")
        #expect(entrance.count == 2 && !entrance.contains(wanted), "\(entrance)")
    }

    /// What may wait at either end of the client's connection and of the service's, one of them adit's, after some
    /// traffic; and what may within one machine.
    private func buffersOfForward(local: String) throws -> (entrance: [Int], exit: [Int], wanted: Int) {
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let service = try Service {
            try $0.send($0.receive(exactly: bytes.count))
            _ = try $0.receiveToEnd()
        }
        return try withTunnel(to: service, local: local) { tunnel in
            let client = try tunnel.open()
            try client.send(bytes)
            #expect(try client.receive(exactly: bytes.count) == bytes)
            let entrance = try receiveBuffers(ofConnectionsTo: tunnel.port)
            let exit = try receiveBuffers(ofConnectionsTo: service.port)
            try client.finishSending()
            return (entrance, exit, try localReceiveBuffer())
        }
    }
}
#endif

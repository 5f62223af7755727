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

    /// Who reaches connect from elsewhere has more on the way.
    @Test(arguments: [("127.0.0.1:0", 1), ("0.0.0.0:0", 0)])
    func `so has a forward`(local: String, bounded: Int) throws {
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        let service = try Service {
            try $0.send($0.receive(exactly: bytes.count))
            _ = try $0.receiveToEnd()
        }
        try withTunnel(to: service, local: local) { tunnel in
            let client = try tunnel.open()
            try client.send(bytes)
            #expect(try client.receive(exactly: bytes.count) == bytes)
            // One of the two ends is adit's.
            let wanted = try localReceiveBuffer()
            let entrance = try receiveBuffers(ofConnectionsTo: tunnel.port)
            #expect(entrance.count == 2 && entrance.count { $0 == wanted } == bounded, "\(entrance)")
            let exit = try receiveBuffers(ofConnectionsTo: service.port)
            #expect(exit.count == 2 && exit.count { $0 == wanted } == 1, "\(exit)")
            try client.finishSending()
        }
    }
}
#endif

#if os(Linux)
import TestSupport
import Testing

/// Linux drops what arrives for a socket that holds much when all together have filled the memory for TCP. A link would
/// then stand still, with all of its streams.
@Suite struct `a link within one machine` {
    @Test func `has little wait to be read`() throws {
        let service = try Service { try $0.sendPattern(16 << 20) }
        try withTunnel(to: service) { tunnel in
            let wanted = [Int](repeating: try localReceiveBuffer(), count: 4)
            #expect(try receiveBuffers(ofConnectionsTo: tunnel.relay.port) == wanted)
            #expect(try tunnel.open().receivePattern() == 16 << 20)
            #expect(try receiveBuffers(ofConnectionsTo: tunnel.relay.port) == wanted)
        }
    }
}
#endif

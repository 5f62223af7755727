#if os(Linux)
import TestSupport
import Testing

/// Linux drops what arrives for a socket that holds more than its share of the memory for TCP, when all have filled that.
/// Then a link stands still, with all of its streams.
@Suite(.serialized) struct `what waits to be read on a link` {
    @Test func `is little where both ends are on one machine`() throws {
        let service = try Service { try $0.sendPattern(64 << 20) }
        try withTunnel(to: service) { tunnel in
            #expect(try tunnel.open().receivePattern() == 64 << 20)
            let buffers = try receiveBuffers(ofConnectionsTo: tunnel.relay.port)
            #expect(buffers.count == 4 && buffers.allSatisfy { $0 <= 512 << 10 }, "\(buffers)")
        }
    }
}
#endif

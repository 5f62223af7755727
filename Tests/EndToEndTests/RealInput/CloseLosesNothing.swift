import TestSupport
import Testing

/// A program that closes its connection right after its last write leaves the rest to the system; so it has to be here.
@Suite(.serialized) struct `a close right after the last byte` {
    @Test(arguments: [1, 70_000, 8_000_000])
    func `loses nothing of what a target sent`(count: Int) throws {
        let service = try Service { try $0.sendPattern(count) }
        try withTunnel(to: service) { tunnel in
            for _ in 0..<10 {
                let connection = try tunnel.open()
                #expect(try connection.receivePattern() == count)
            }
        }
    }

    @Test(arguments: [1, 70_000, 8_000_000])
    func `loses nothing of what a client sent`(count: Int) throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            for _ in 0..<10 {
                let connection = try tunnel.open()
                let sending = Background {
                    try connection.sendPattern(count)
                    connection.close()
                }
                let served = try service.accept()
                #expect(try served.receivePattern() == count)
                try sending.value()
            }
        }
    }
}

import TestSupport
import Testing

/// A program that closes its connection right after its last write leaves the rest to the system; so it has to be here.
@Suite(.serialized) struct `a close right after the last byte` {
    @Test(arguments: [1, 70_000, 8_000_000])
    func `loses nothing of what a target sent`(count: Int) throws {
        let service = try Service { connection in
            var pattern = Pattern()
            while pattern.count < count {
                try connection.send(pattern.next(atMost: min(65_536, count - pattern.count)))
            }
        }
        try withTunnel(to: service) { tunnel in
            for _ in 0..<10 {
                let connection = try tunnel.open()
                var pattern = Pattern()
                while case let bytes = try connection.receive(), !bytes.isEmpty { try pattern.expect(bytes) }
                #expect(pattern.count == count)
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
                    var pattern = Pattern()
                    while pattern.count < count {
                        try connection.send(pattern.next(atMost: min(65_536, count - pattern.count)))
                    }
                    connection.close()
                }
                let served = try service.accept()
                var pattern = Pattern()
                while case let bytes = try served.receive(), !bytes.isEmpty { try pattern.expect(bytes) }
                #expect(pattern.count == count)
                try sending.value()
            }
        }
    }
}

#if os(Linux)
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

@Suite(.enabled(if: Sanitizer.name == nil)) struct `roles that have come to rest` {
    /// In bytes: between pings, and at any time.
    private static let mostAtRest = 6_000_000
    private static let limits = ["relay": 12_000_000, "agent": 10_000_000, "connect": 10_000_000]
    /// In five pieces of a slow transfer: 0 to 2, and 330 to 730 where memory is given back between them.
    private static let mostFaults = 80

    @Test func `hold little memory, also after a request that took hardly any time, and serve as before`() throws {
        try withTunnel(to: Service.echo()) { tunnel in
            for time in ["once", "again", "for the last time"] {
                #expect(try tunnel.open().echoes(time))
                try expectLittleMemory(of: tunnel, time)
            }
        }
    }

    @Test func `hold little memory after a transfer, while pings come and go`() throws {
        try withTunnel(to: Service.echo()) { tunnel in
            let connection = try tunnel.open()
            let bytes = [UInt8](repeating: 7, count: 64 << 20)
            let sent = Background { try connection.send(bytes) }
            #expect(try connection.receive(exactly: bytes.count) == bytes)
            try sent.value()
            connection.close()
            try expectLittleMemory(of: tunnel, "after the transfer")

            // Each side of each link pings every 10 s.
            let end = ContinuousClock.now + .seconds(12)
            var largest: [String: Int] = [:]
            while ContinuousClock.now < end {
                for (name, process) in tunnel.parties {
                    largest[name] = max(largest[name, default: 0], try process.residentBytes())
                }
                usleep(20_000)
            }
            for (name, bytes) in largest {
                #expect(try bytes <= #require(Self.limits[name]), "\(name): \(bytes >> 10) KiB")
            }
        }
    }

    /// Each has as little CPU time for it as if many shared the machine.
    @Test func `do not rest between the pieces of a slow transfer`() throws {
        try withTunnel(to: Service.echo()) { tunnel in
            let connection = try tunnel.open()
            let piece = [UInt8](repeating: 7, count: 48 << 10)
            func transfer(pieces: Int) throws {
                for _ in 0..<pieces {
                    try connection.send(piece)
                    #expect(try connection.receive(exactly: piece.count) == piece)
                    usleep(900_000)
                }
            }
            try transfer(pieces: 3)
            let before = try tunnel.parties.map { try $0.process.pageFaults() }
            try transfer(pieces: 5)
            for ((name, process), before) in zip(tunnel.parties, before) {
                let faults = try process.pageFaults() - before
                #expect(faults < Self.mostFaults, "\(name)")
            }
        }
    }

    private func expectLittleMemory(of tunnel: Tunnel, _ time: String) throws {
        for (name, process) in tunnel.parties {
            let isLittle = try eventually { try process.residentBytes() <= Self.mostAtRest }
            let resident = try process.residentBytes()
            #expect(isLittle, "\(name) \(time): \(resident >> 10) KiB")
        }
    }
}
#endif

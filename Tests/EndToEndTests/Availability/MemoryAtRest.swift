#if os(Linux)
import TestSupport
import Testing

@Suite struct `roles that have come to rest` {
    @Test(.enabled(if: Sanitizer.name == nil))
    func `hold 12 MiB at most, and serve as before`() throws {
        try withTunnel(to: Service.echo()) { tunnel in
            #expect(try tunnel.open().echoes("once"))
            for (name, process) in tunnel.parties {
                let isLittle = try eventually { try process.residentBytes() <= 12 << 20 }
                let resident = try process.residentBytes()
                #expect(isLittle, "\(name): \(resident >> 10) KiB")
            }
            #expect(try tunnel.open().echoes("again"))
        }
    }
}
#endif

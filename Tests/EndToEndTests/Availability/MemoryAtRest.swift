#if os(Linux)
import TestSupport
import Testing

@Suite struct `roles that have come to rest` {
    /// In bytes.
    private static let limits = ["relay": 12_000_000, "agent": 10_000_000, "connect": 10_000_000]

    @Test(.enabled(if: Sanitizer.name == nil))
    func `hold little memory, also after a request that took hardly any time, and serve as before`() throws {
        try withTunnel(to: Service.echo()) { tunnel in
            for time in ["once", "again", "for the last time"] {
                #expect(try tunnel.open().echoes(time))
                for (name, process) in tunnel.parties {
                    let limit = try #require(Self.limits[name])
                    let isLittle = try eventually { try process.residentBytes() <= limit }
                    let resident = try process.residentBytes()
                    #expect(isLittle, "\(name) \(time): \(resident >> 10) KiB")
                }
            }
        }
    }
}
#endif

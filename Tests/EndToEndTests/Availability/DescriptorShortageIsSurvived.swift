import TestSupport
import Testing

@Suite(.serialized) struct `a relay without file descriptors to spare` {
    @Test func `more connections than the relay has descriptors for cost it nothing but those`() throws {
        let site = try Site()
        let relay = try site.relay(through: ["/bin/sh", "-c", #"ulimit -n 40; exec "$0" "$@""#])
        defer { withExtendedLifetime(relay) {} }
        let honest = try HonestTunnel(in: site, at: relay)
        do {
            let crowd = try (0..<200).map { _ in try Connection(to: relay.port) }
            #if os(Linux)
            let isFull = try eventually { try names(in: "/proc/\(relay.process.processID)/fd").count >= 39 }
            #expect(isFull)
            #endif
            try honest.check()
            // Most of them wait to be accepted still; the relay finds them gone when their turn comes.
            for connection in crowd { connection.close() }
        }
        let late = try site.connect(to: "honest", at: relay.address, state: "late")
        #expect(try Connection(to: late.waitForTunnel()).echoes("there is room again"))
        try honest.check()
        #expect(relay.process.end == nil)
    }
}

import TestSupport
import Testing

@Suite(.serialized) struct `a connection that is no link` {
    private static let limit = Duration.seconds(10)

    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }

    @Test func `ends when its bytes are no TLS, and nobody else notices`() throws {
        for seed in 0..<32 {
            var random = SplitMix(state: UInt64(seed))
            let socket = try Connection(to: relay.port)
            try socket.send(
                (0..<Int.random(in: 16...4096, using: &random)).map { _ in .random(in: 0...255, using: &random) })
            var answer: [UInt8] = []
            let time = try elapsed { answer = try socket.receiveUntilGone() }
            #expect(time < Self.limit, "seed \(seed)")
            // 21 is the record type of alerts (RFC 8446 §5.1). What says it is a record, and lies, may end without one.
            #expect(answer.isEmpty || answer.first == 21, "seed \(seed)")
        }
        try relay.process.errors.waitForLine(containing: "Link ended: ip=127.0.0.1, reason=", occurrence: 32)
        try honest.check()
    }

    @Test func `ends when it says nothing at all, and nobody else notices`() throws {
        let sockets = try (0..<20).map { _ in try Connection(to: relay.port) }
        let time = try elapsed {
            for socket in sockets {
                let answer = try socket.receiveUntilGone()
                #expect(answer.isEmpty)
            }
        }
        #expect(time < Self.limit)
        try relay.process.errors.waitForLine(
            containing: "Link ended: ip=127.0.0.1, reason=TLS handshake failed: no handshake within", occurrence: 20)
        try honest.check()
    }
}

/// Random numbers that are the same each time (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

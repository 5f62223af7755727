#if os(Linux)
import TestSupport
import Testing

/// Whether the relay keeps all of the crowd, or closes what its limits do not allow.
enum CrowdLimits: CaseIterable, Sendable {
    case raised, defaults
}

@Suite(.serialized) struct `a crowd of connections that come to nothing` {
    private static let halfOpen = 5000
    private static let garbage = 2000
    private static let samples = 2000

    @Test(arguments: CrowdLimits.allCases)
    func `costs an honest tunnel less than its latency again, and its memory is given back`(
        _ limits: CrowdLimits
    ) throws {
        let site = try Site()
        let relay =
            switch limits {
            case .raised:
                try site.relay(
                    "--max-connections-per-address", "16000", "--max-pending-connections", "16000",
                    "--handshake-timeout", "10m")
            case .defaults: try site.relay()
            }
        let honest = try HonestTunnel(in: site, at: relay)
        let connection = try Connection(to: honest.port)
        // What connections and event loops keep for the next crowd.
        let allowance = 2_000_000
        _ = try Self.echoes(over: connection) { $0 < Self.samples }
        var idle = try Self.echoes(over: connection) { $0 < Self.samples }
        let before = try relay.process.anonymousBytes()

        let crowd = Crowd()
        try crowd.add(Self.halfOpen / 2, saying: .nothing, to: relay.port)
        try crowd.add(Self.halfOpen / 2, saying: .halfAHandshake, to: relay.port)
        if limits == .raised {
            let isHeld = try eventually {
                try names(in: "/proc/\(relay.process.processID)/fd").count > Self.halfOpen
            }
            #expect(isHeld)
        }
        var busy: [Duration] = []
        while busy.count < Self.samples {
            let noise = Background { [port = relay.port] in
                let noise = Crowd()
                try noise.add(Self.garbage, saying: .garbage, to: port, pause: .milliseconds(1))
                return noise.leave()
            }
            busy += try Self.echoes(over: connection) { _ in !noise.hasEnded }
            try noise.value()
        }
        let during = try relay.process.anonymousBytes()

        crowd.leave()
        // Of what a sanitizer holds, little is adit's.
        let isBack =
            try Sanitizer.name != nil
            || eventually { try relay.process.anonymousBytes() < before + allowance }
        let after = try relay.process.anonymousBytes()
        #expect(isBack, "\(before >> 10) KiB before, \(during >> 10) during, \(after >> 10) after")

        // Before and after it: a machine that others use changes its speed in the meantime.
        idle += try Self.echoes(over: connection) { $0 < Self.samples }
        print("p50 \(Self.median(idle)) idle, \(Self.median(busy)) busy")
        // What a sanitizer makes slow is the crowd, too, which is here on the same processors.
        if Sanitizer.name == nil { #expect(Self.median(busy) < Self.median(idle) * 2) }
        try honest.check()
    }

    private static func median(_ times: [Duration]) -> Duration {
        times.sorted()[times.count / 2]
    }

    /// How long each echo takes, one after the other for as long as `goesOn` says at their number.
    private static func echoes(over connection: Connection, while goesOn: (Int) -> Bool) throws -> [Duration] {
        var times: [Duration] = []
        while goesOn(times.count) {
            times.append(
                try elapsed {
                    guard try connection.echoes("12345678") else { throw ProcessError("the echo is wrong") }
                })
        }
        return times
    }
}
#endif

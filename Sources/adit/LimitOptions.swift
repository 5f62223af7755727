import ArgumentParser
import Relay

/// What a relay lets others have. Each option stands beside the default that it changes.
struct LimitOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Connections at once. Default: 16384.", valueName: "count"))
    var maxConnections: String?

    @Option(
        help: ArgumentHelp("Connections at once from one IPv4 address or IPv6 /64. Default: 8192.", valueName: "count"))
    var maxConnectionsPerAddress: String?

    @Option(
        help: ArgumentHelp(
            "Connections at once whose hello has not been accepted yet; beyond, the oldest is closed. Default: 2048.",
            valueName: "count"))
    var maxPendingConnections: String?

    @Option(
        help: ArgumentHelp(
            """
            Refused tokens from one IPv4 address or IPv6 /64, after which its next connection must wait, each time \
            twice as long, up to 64 s. Default: 20.
            """, valueName: "count"))
    var maxFailuresPerAddress: String?

    @Option(
        help: ArgumentHelp(
            "Close connections that take longer for the handshake, or then for the hello. Default: 8s.",
            valueName: "duration"))
    var handshakeTimeout: String?

    @Option(help: ArgumentHelp("Tunnels at once. Default: 16384.", valueName: "count"))
    var maxTunnels: String?

    @Option(
        help: ArgumentHelp("Tunnels at once of one client ID, over all its links. Default: 1024.", valueName: "count"))
    var maxTunnelsPerClient: String?

    @Option(help: ArgumentHelp("Tunnels at once to one agent. Default: 4096.", valueName: "count"))
    var maxTunnelsPerAgent: String?

    @Option(
        help: ArgumentHelp(
            "Bytes that wait for peers that do not read; beyond, the link with the most is closed. Default: 512M.",
            valueName: "size"))
    var maxBuffered: String?

    @Option(help: ArgumentHelp("Bytes that wait for one peer that does not read. Default: 64M.", valueName: "size"))
    var maxBufferedPerLink: String?

    @Option(
        help: ArgumentHelp(
            "Frames without payload that one link may bring in a second. Default: 50000.", valueName: "count"))
    var maxControlFrames: String?

    func limits(_ settings: Settings) throws(Failure) -> RelayLimits {
        var limits = RelayLimits()
        try settings.replace(&limits.connections, .maxConnections, maxConnections, .count)
        try settings.replace(
            &limits.connectionsPerAddress, .maxConnectionsPerAddress, maxConnectionsPerAddress, .count)
        try settings.replace(&limits.pendingConnections, .maxPendingConnections, maxPendingConnections, .count)
        try settings.replace(&limits.failuresPerAddress, .maxFailuresPerAddress, maxFailuresPerAddress, .count)
        try settings.replace(&limits.tunnels, .maxTunnels, maxTunnels, .count)
        try settings.replace(&limits.tunnelsPerClient, .maxTunnelsPerClient, maxTunnelsPerClient, .count)
        try settings.replace(&limits.tunnelsPerAgent, .maxTunnelsPerAgent, maxTunnelsPerAgent, .count)
        try settings.replace(&limits.bufferedBytes, .maxBuffered, maxBuffered, .size)
        try settings.replace(&limits.bufferedBytesPerLink, .maxBufferedPerLink, maxBufferedPerLink, .size)
        try settings.replace(&limits.controlFramesPerSecond, .maxControlFrames, maxControlFrames, .count)
        if let timeout = try settings.value(.handshakeTimeout, handshakeTimeout, .lifetime) {
            limits.handshakeSeconds = timeout.seconds
        }
        return limits
    }
}

extension Settings {
    /// Puts what was given for an option in the place of its default.
    func replace<Value>(
        _ value: inout Value, _ option: OptionName, _ argument: String?, _ format: ValueFormat<Value>
    ) throws(Failure) {
        if let given = try self.value(option, argument, format) { value = given }
    }
}

extension ValueFormat<Int> {
    /// How many of something there may be.
    static var count: Self {
        Self(expectation: "a whole number of 1 to 999999999") { text in
            guard (1...9).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return Int(text).flatMap { $0 > 0 ? $0 : nil }
        }
    }

    /// In bytes, with a factor of 1024 for each step of K, M and G.
    static var size: Self {
        Self(expectation: "a size such as 512K, 64M or 2G") { text in
            let shifts: [Character: Int] = ["K": 10, "M": 20, "G": 30]
            guard let unit = text.last, let shift = shifts[unit] else { return nil }
            return count.parse(String(text.dropLast())).map { $0 << shift }
        }
    }
}

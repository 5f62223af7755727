/// What a relay lets others have at once. Each is an option of `adit relay tcp`; Docs/OPERATIONS.md says what happens to
/// whoever goes beyond.
package struct RelayLimits: Sendable {
    /// Connections, whoever they are.
    package var connections = 16_384
    /// Connections from one IPv4 address, or from one /64 of IPv6.
    package var connectionsPerAddress = 8192
    /// Connections that have not been welcomed yet. One more, and the one that has waited longest is closed.
    package var pendingConnections = 2048
    /// Refused tokens from one address, or from one /64 of IPv6, before it has to wait between connections.
    package var failuresPerAddress = 20
    /// For the TLS handshake, and again for the hello.
    package var handshakeSeconds: Int64 = 8
    /// Tunnels, whosever they are.
    package var tunnels = 16_384
    /// Tunnels of one client ID, over all its links.
    package var tunnelsPerClient = 1024
    /// Tunnels to one agent.
    package var tunnelsPerAgent = 4096
    /// Bytes that wait for peers to read them, of all links.
    package var bufferedBytes = 512 * 1024 * 1024
    /// Bytes that wait for one peer to read them.
    package var bufferedBytesPerLink = 64 * 1024 * 1024
    /// Frames without payload that one link may bring in a second.
    package var controlFramesPerSecond = 50_000

    /// The defaults.
    package init() {}
}

package import EndToEnd
package import Transport
package import Wire

/// What connect needs to know.
package struct ConnectConfiguration: Sendable {
    let relay: HostPort
    let agentID: AgentID
    let local: HostPort
    let remote: HostPort?
    let identity: Identity
    let relayTrust: KeyTrust
    let agentTrust: KeyTrust
    let token: TokenSource
    let exitOnFailure: Bool

    /// - Parameters:
    ///   - local: where to listen; port 0 chooses one.
    ///   - remote: what to ask the agent for; nil for its own target.
    ///   - exitOnFailure: throw what would otherwise be tried again.
    package init(
        relay: HostPort, agentID: AgentID, local: HostPort, remote: HostPort?, identity: Identity,
        relayTrust: KeyTrust, agentTrust: KeyTrust, token: @escaping TokenSource, exitOnFailure: Bool
    ) {
        self.relay = relay
        self.agentID = agentID
        self.local = local
        self.remote = remote
        self.identity = identity
        self.relayTrust = relayTrust
        self.agentTrust = agentTrust
        self.token = token
        self.exitOnFailure = exitOnFailure
    }
}

/// What connect reports.
package enum ConnectEvent: Sendable {
    case connectedToRelay(HostPort)
    case connectedToAgent(AgentID, key: Fingerprint)
    /// The first time, and after each reconnection.
    case ready(local: HostPort, target: HostPort)
    case agentNotFound(AgentID, retryAfterMilliseconds: Int64)
    case disconnected(LinkFailure, retryAfterMilliseconds: Int64)
}

/// Why connect cannot begin.
package enum ConnectFailure: Error {
    case cannotListen(address: HostPort, reason: String)
}

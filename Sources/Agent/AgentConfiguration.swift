package import EndToEnd
package import Transport
package import Wire

/// What an agent needs to know.
package struct AgentConfiguration: Sendable {
    let relay: HostPort
    let agentID: AgentID
    let target: HostPort
    let identity: Identity
    let relayTrust: KeyTrust
    let token: TokenSource
    let authorizedClients: AuthorizedClients?
    let allowedClients: [String]?
    let mostForwards: Int

    /// - Parameters:
    ///   - target: on this machine's loopback; anything else is refused when it is dialed.
    ///   - authorizedClients: nil lets every client in that the relay lets through.
    ///   - allowedClients: the client IDs to take, by the relay's word; nil takes any.
    ///   - mostForwards: that a session may have at once.
    package init(
        relay: HostPort, agentID: AgentID, target: HostPort, identity: Identity, relayTrust: KeyTrust,
        token: @escaping TokenSource, authorizedClients: AuthorizedClients?, allowedClients: [String]?,
        mostForwards: Int
    ) {
        self.relay = relay
        self.agentID = agentID
        self.target = target
        self.identity = identity
        self.relayTrust = relayTrust
        self.token = token
        self.authorizedClients = authorizedClients
        self.allowedClients = allowedClients
        self.mostForwards = mostForwards
    }
}

/// What an agent reports.
package enum AgentEvent: Sendable {
    case registered(relay: HostPort, agentID: AgentID)
    case disconnected(LinkFailure, retryAfterMilliseconds: Int64)
}

/// Why an agent cannot begin.
package enum AgentFailure: Error {
    case cannotWatchSockets(reason: String)
}

/// What a link is for.
package enum PeerRole: String, Codable, Sendable {
    case agent
    case client
}

/// The first message on the control stream, from the peer to the relay (PROTOCOL §4.2).
package struct Hello: Codable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let version: Int
    /// What the link is for.
    package let role: PeerRole
    /// Whoever reads it may use it: it is never logged, and `description` leaves it out.
    package let token: String
    /// The ID to register under; agents only.
    package let agentID: AgentID?
    /// Program and version, for the relay's log.
    package let software: String

    /// A hello of this version; `agentID` is for agents alone.
    package init(role: PeerRole, token: BearerToken, agentID: AgentID?, software: String) {
        version = Protocol.version
        self.role = role
        self.token = token.value
        self.agentID = agentID
        self.software = software
    }

    package var description: String { "hello, role \(role.rawValue)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }

    enum CodingKeys: String, CodingKey {
        case version, role, token, software
        case agentID = "agent_id"
    }
}

/// The relay's answer to a hello that it accepts.
package struct Welcome: Codable, Equatable, Sendable {
    package let software: String

    /// `software` as `Software.name`.
    package init(software: String) {
        self.software = software
    }
}

/// What the relay may say on the control stream after its welcome. An unknown notice is ignored.
package struct Notice: Codable, Equatable, Sendable {
    /// The relay ends the link, for this reason.
    package var ending: Refusal?
    /// So many seconds are left to the peer's token.
    package var tokenExpiresIn: Int64?
    /// The answer to a renewal.
    package var renewal: Answer<Accepted>?

    /// A notice; without an argument it says nothing.
    package init(ending: Refusal? = nil, tokenExpiresIn: Int64? = nil, renewal: Answer<Accepted>? = nil) {
        self.ending = ending
        self.tokenExpiresIn = tokenExpiresIn
        self.renewal = renewal
    }

    enum CodingKeys: String, CodingKey {
        case ending, renewal
        case tokenExpiresIn = "token_expires_in"
    }
}

/// What a peer may say on the control stream after its welcome: a token that is to take the place of that of its hello.
package struct Renewal: Codable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// Whoever reads it may use it, as in `Hello`.
    package let token: String

    /// A renewal with that token.
    package init(token: String) {
        self.token = token
    }

    package var description: String { "renewal" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The header of a tunnel stream, from connect to the relay (PROTOCOL §5).
package struct TunnelRequest: Codable, Equatable, Sendable {
    /// The agent to reach.
    package let agentID: AgentID

    /// A request to reach that agent.
    package init(agentID: AgentID) {
        self.agentID = agentID
    }

    enum CodingKeys: String, CodingKey {
        case agentID = "agent_id"
    }
}

/// The header of a tunnel stream, from the relay to the agent. The relay vouches for what it says (PROTOCOL §5).
package struct TunnelOffer: Codable, Equatable, Sendable {
    /// The `sub` of the client's token.
    package let clientID: String
    /// The address the client's link comes from.
    package let clientAddress: String
    /// The targets (`host:port`) that the client's token allows; nil for any.
    package let allowedAddresses: [String]?

    /// An offer, of what the client's token and link say.
    package init(clientID: String, clientAddress: String, allowedAddresses: [String]? = nil) {
        self.clientID = clientID
        self.clientAddress = clientAddress
        self.allowedAddresses = allowedAddresses
    }

    enum CodingKeys: String, CodingKey {
        case clientID = "client_id"
        case clientAddress = "client_address"
        case allowedAddresses = "allowed_addresses"
    }
}

/// The first message on a session's control stream, from connect to the agent (PROTOCOL §7).
package struct SessionHello: Codable, Equatable, Sendable {
    package let version: Int
    /// The target that connect asks for; nil for the agent's own.
    package let target: HostPort?

    /// A hello of this version.
    package init(target: HostPort?) {
        version = Protocol.version
        self.target = target
    }
}

/// The agent's answer to a session hello that it accepts.
package struct SessionWelcome: Codable, Equatable, Sendable {
    /// Where the agent's forwards go.
    package let target: HostPort

    package init(target: HostPort) {
        self.target = target
    }
}

/// The header of a forward stream, from connect to the agent (PROTOCOL §8). Data follows at once.
package struct ForwardRequest: Codable, Equatable, Sendable {
    package let target: HostPort

    package init(target: HostPort) {
        self.target = target
    }
}

/// An acceptance that says nothing more.
package struct Accepted: Codable, Equatable, Sendable {
    private enum CodingKeys: CodingKey {}

    /// The acceptance.
    package init() {}

    package init(from decoder: any Decoder) throws {
        // What is synthesized for no members would take null, or a number, for an acceptance.
        _ = try decoder.container(keyedBy: CodingKeys.self)
    }
}

/// The answer to a request: `{"accepted":{…}}` or `{"refused":{"code":…,"message":…}}`, never both.
package enum Answer<Body: Codable & Sendable>: Codable, Sendable {
    case accepted(Body)
    case refused(Refusal)

    private enum CodingKeys: String, CodingKey {
        case accepted, refused
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        if let refusal = try container.decodeIfPresent(Refusal.self, forKey: .refused) {
            self = .refused(refusal)
        } else {
            self = .accepted(try container.decode(Body.self, forKey: .accepted))
        }
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        switch self {
        case .accepted(let body): try container.encode(body, forKey: .accepted)
        case .refused(let refusal): try container.encode(refusal, forKey: .refused)
        }
    }
}

extension Answer: Equatable where Body: Equatable {}

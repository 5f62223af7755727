import Tokens
import Wire

/// What a token's claims let its holder do (PROTOCOL §4.4 for the codes). Pure: who asks is in the arguments.
struct Authorization: Sendable {
    let requireScope: Bool

    /// Whether a link of this role may be admitted; nil means yes.
    func objection(to role: PeerRole, agentID: AgentID?, claims: Claims) -> Refusal? {
        if requireScope, claims.role == nil {
            return Refusal(.scopeRequired, "this relay wants tokens that name a role")
        }
        switch (role, claims.role) {
        case (.agent, .client), (.client, .agent):
            return Refusal(.wrongRole, "the token is not for the role of \(role.rawValue)")
        case (.agent, _):
            return objection(toRegistering: agentID, claims: claims)
        case (.client, _):
            return requireScope && claims.allowedAgents == nil
                ? Refusal(.scopeRequired, "this relay wants clients' tokens to name their agents") : nil
        }
    }

    /// A token registers the IDs it lists, or else the one equal to its subject.
    private func objection(toRegistering agentID: AgentID?, claims: Claims) -> Refusal? {
        guard let agentID else { return Refusal(.malformedMessage, "an agent's hello must name its agent ID") }
        let allowed = claims.allowedAgents ?? [claims.subject]
        let matches =
            claims.allowedAgents == nil
            ? allowed.contains(agentID.description) : allowed.contains { Glob($0).matches(agentID.description) }
        return matches ? nil : Refusal(.agentIDForbidden, "the token does not allow the agent ID \(agentID)")
    }

    /// Whether a client may open a tunnel to an agent; nil means yes.
    func objection(toReaching agentID: AgentID, claims: Claims) -> Refusal? {
        guard let allowed = claims.allowedAgents else { return nil }
        return allowed.contains { Glob($0).matches(agentID.description) }
            ? nil : Refusal(.agentForbidden, "the token does not allow the agent \(agentID)")
    }
}

/// A pattern in which `*` stands for any run of characters, and everything else for itself.
struct Glob {
    private let pattern: [UInt8]

    init(_ pattern: String) {
        self.pattern = Array(pattern.utf8)
    }

    /// In time proportional to the product of both lengths at worst: on a mismatch only the last `*` is widened.
    func matches(_ text: String) -> Bool {
        let text = Array(text.utf8)
        var at = 0
        var inPattern = 0
        var star: (inPattern: Int, at: Int)?
        while at < text.count {
            if inPattern < pattern.count, pattern[inPattern] == UInt8(ascii: "*") {
                star = (inPattern, at)
                inPattern += 1
            } else if inPattern < pattern.count, pattern[inPattern] == text[at] {
                inPattern += 1
                at += 1
            } else if let last = star {
                star = (last.inPattern, last.at + 1)
                inPattern = last.inPattern + 1
                at = last.at + 1
            } else {
                return false
            }
        }
        return pattern[inPattern...].allSatisfy { $0 == UInt8(ascii: "*") }
    }
}

/// Why something was refused (PROTOCOL §4.4 lists when each is sent and what a peer does about it).
package enum RefusalCode: String, Sendable, CaseIterable, Codable {
    // Admission: the link ends.
    case authenticationFailed = "authentication_failed"
    case tokenExpired = "token_expired"
    case tokenRevoked = "token_revoked"
    case wrongRole = "wrong_role"
    case agentIDForbidden = "agent_id_forbidden"
    case agentIDTaken = "agent_id_taken"
    case replaced
    case scopeRequired = "scope_required"
    case unsupportedVersion = "unsupported_version"
    case helloTimeout = "hello_timeout"
    // Opening a tunnel: the stream ends.
    case agentForbidden = "agent_forbidden"
    case agentNotFound = "agent_not_found"
    case clientForbidden = "client_forbidden"
    // Opening a session or a forward: that session or stream ends.
    case targetForbidden = "target_forbidden"
    case targetRefused = "target_refused"
    case targetUnreachable = "target_unreachable"
    // Anywhere.
    case malformedMessage = "malformed_message"
    case limitExceeded = "limit_exceeded"
    case draining
    case internalError = "internal_error"
    /// A code that this version does not know; never sent.
    case unknown

    package init(from decoder: any Decoder) throws {
        self = RefusalCode(rawValue: try decoder.singleValueContainer().decode(String.self)) ?? .unknown
    }

    /// Whether the same request may be granted later without anybody changing its token, key or options.
    package var isTransient: Bool {
        switch self {
        case .agentIDTaken, .agentNotFound, .targetRefused, .targetUnreachable, .limitExceeded, .draining,
            .helloTimeout,
            .internalError, .unknown:
            true
        case .authenticationFailed, .tokenExpired, .tokenRevoked, .wrongRole, .agentIDForbidden, .replaced,
            .scopeRequired, .unsupportedVersion, .agentForbidden, .clientForbidden, .targetForbidden, .malformedMessage:
            false
        }
    }

    /// What is refused, from the outside in.
    package enum Level: Sendable {
        case link
        case tunnel
        case session
    }

    /// Whether the code has a meaning in answer to the request that opens a level (PROTOCOL §4.4).
    package func applies(to level: Level) -> Bool {
        switch self {
        case .authenticationFailed, .wrongRole, .agentIDForbidden, .agentIDTaken, .replaced, .scopeRequired,
            .helloTimeout, .tokenRevoked:
            level == .link
        case .tokenExpired: level != .session
        case .unsupportedVersion: level != .tunnel
        case .agentForbidden, .agentNotFound, .clientForbidden: level == .tunnel
        case .targetForbidden, .targetRefused, .targetUnreachable: level == .session
        case .malformedMessage, .limitExceeded, .draining, .internalError, .unknown: true
        }
    }
}

/// A refusal as it goes on the wire: a code for programs, a message for people.
package struct Refusal: Error, Codable, Equatable, Sendable, CustomStringConvertible {
    /// For programs.
    package let code: RefusalCode
    /// For people, as the peer wrote it; print `description` instead.
    package let message: String

    /// `message` in lower case, without a full stop, and without secrets.
    package init(_ code: RefusalCode, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The refusal as an answer at that level: a code that has no business there counts as unknown. An agent is no judge of
    /// a client's token, and must not make connect give up over it.
    package func received(at level: RefusalCode.Level) -> Refusal {
        code.applies(to: level) ? self : Refusal(.unknown, message)
    }

    /// The message as a peer wrote it, made fit to print.
    package var description: String { Printable(message).description }
}

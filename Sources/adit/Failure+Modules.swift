import Agent
import Connect
import EndToEnd
import Relay
import TLSEngine
import Tokens
import Transport
import Wire

extension Failure {
    /// The house's errors in the user's words; nil for an error that no module of the house throws.
    init?(reportedBy error: any Error) {
        switch error {
        case let failure as LinkFailure: self.init(failure)
        case let failure as TLSError: self.init(failure)
        case let failure as KnownKeysError: self = .configuration("\(failure)")
        case let failure as TokenError: self = .configuration(failure.reason)
        case RelayFailure.cannotListen(let address, let reason), ConnectFailure.cannotListen(let address, let reason):
            self.init(
                .unavailable, "cannot listen on \(address): \(reason)", hint: "a port of 0 lets adit choose a free one")
        case AgentFailure.cannotWatchSockets(let reason):
            self.init(
                .unavailable, "cannot watch connections to the target: \(reason)",
                hint: "the limit of open files may be too low (ulimit -n)")
        default: return nil
        }
    }

    private init(_ failure: LinkFailure) {
        let reason = failure.description
        switch failure {
        case .unreachable, .handshake, .lost, .misbehaved: self.init(.unavailable, reason)
        case .untrusted: self.init(.refused, reason)
        case .keyRefused: self.init(.refused, reason, hint: "add the key to the agent's --authorized-clients file")
        case .refused(let refusal) where refusal.code == .tokenExpired || refusal.code == .tokenRevoked:
            self.init(
                .refused, "authentication failed: \(reason)",
                hint:
                    "make another with 'adit generate-token'; one that is put into the file of --token-file in time is taken up without a break"
            )
        case .refused(let refusal) where refusal.code.isAboutTheToken:
            self.init(
                .refused, "authentication failed: \(reason)",
                hint: "'adit generate-token', with the relay's secret, makes a token that fits")
        case .refused(let refusal) where refusal.code == .clientForbidden:
            self.init(.refused, reason, hint: "add the token's --sub to the agent's --allow-client options")
        case .refused(let refusal): self.init(refusal.code.isTransient ? .unavailable : .refused, reason)
        }
    }

    private init(_ error: TLSError) {
        switch error {
        case .permissions(let path, let mode):
            self = .configuration(
                "\(path) has mode 0\(String(mode, radix: 8)): others than its owner may read or write this private key",
                hint: "chmod 600 \(path), if nobody can have copied it; otherwise remove it, and a new one is made")
        case .file(let path, let reason): self = .configuration("\(path): \(reason)")
        case .environment(let reason), .misuse(let reason): self.init(.software, reason)
        case .peerRejected(let reason): self.init(.refused, reason)
        case .alert(let reason), .handshakeFailed(let reason), .recordFailed(let reason):
            self.init(.unavailable, "TLS: \(reason)")
        }
    }
}

extension RefusalCode {
    /// Whether another token is the remedy.
    fileprivate var isAboutTheToken: Bool {
        switch self {
        case .authenticationFailed, .tokenExpired, .tokenRevoked, .wrongRole, .agentIDForbidden, .scopeRequired: true
        case .agentIDTaken, .replaced, .unsupportedVersion, .helloTimeout, .agentForbidden, .agentNotFound,
            .clientForbidden, .targetForbidden, .targetRefused, .targetUnreachable, .malformedMessage, .limitExceeded,
            .draining, .internalError, .unknown:
            false
        }
    }
}

import NIOCore
import Tokens
import Transport
import Wire

/// The token of an admitted link, over time: warns the peer, takes a renewal, and ends the link when the time is up (PROTOCOL §4.3).
///
/// Lives on the link's event loop; `cancel` it when the link has ended.
final class TokenTerm {
    /// How long before its token's end a peer is told, in seconds.
    private static let notice: Int64 = 60
    /// Between two looks at the clock, which a machine that slept has put forward.
    private static let longestWait: Int64 = 60
    /// Between two renewals: each costs a verification.
    private static let renewalPause = TimeAmount.milliseconds(100)

    private(set) var token: VerifiedToken
    private let hello: (role: PeerRole, agentID: AgentID?, key: Fingerprint)
    private let hall: Hall
    /// Holds us too, until it ends.
    private let link: PeerLink
    private var timer: NIOScheduledCallback?
    private var isTold = false
    private var renewed = NIODeadline.distantPast

    init(
        _ token: VerifiedToken, hello: (role: PeerRole, agentID: AgentID?, key: Fingerprint), link: PeerLink, hall: Hall
    ) {
        self.token = token
        self.hello = hello
        self.link = link
        self.hall = hall
    }

    /// Looks at the clock now, and again when something is due.
    func proceed() {
        let rest = token.claims.expiresAt - hall.now()
        guard rest > 0 else { return link.end(Refusal(.tokenExpired, "the token has expired")) }
        if rest <= TokenTerm.notice, !isTold {
            isTold = true
            link.tell(Notice(tokenExpiresIn: rest))
        }
        let wait = rest > TokenTerm.notice ? min(rest - TokenTerm.notice, TokenTerm.longestWait) : rest
        // Only an event loop that shuts down takes no more.
        timer = try? link.mux.eventLoop.assumeIsolated().scheduleCallback(in: .seconds(wait), handler: self)
    }

    func cancel() {
        timer?.cancel()
    }

    /// Ends the link if its token is taken no more.
    func review() {
        if let refusal = hall.policy.objection(to: token) { link.end(refusal) }
    }

    /// Lets another token take this one's place, and tells the peer whether it did. Without that this one goes on to its end.
    func renew(with text: String) {
        guard NIODeadline.now() - renewed >= TokenTerm.renewalPause else {
            return link.end(Refusal(.limitExceeded, "one renewal at a time, please"))
        }
        renewed = .now()
        do throws(Refusal) {
            let next = try hall.policy.admit(text, key: hello.key, now: hall.now())
            if let refusal = objection(to: next.claims) { throw refusal }
            token = next
            isTold = false
            timer?.cancel()
            link.tell(Notice(renewal: .accepted(Accepted())))
            proceed()
        } catch {
            link.tell(Notice(renewal: .refused(error)))
        }
    }
}

extension TokenTerm: NIOScheduledCallbackHandler {
    func handleScheduledCallback(eventLoop: some EventLoop) {
        proceed()
    }
}

extension TokenTerm {
    private func objection(to next: Claims) -> Refusal? {
        guard next.subject.utf8.elementsEqual(token.claims.subject.utf8) else {
            return Refusal(.authenticationFailed, "the token is for another subject than the one that it is to replace")
        }
        let refusal = hall.authorization.objection(to: hello.role, agentID: hello.agentID, claims: next)
        guard refusal == nil, hello.role == .client else { return refusal }
        // Open tunnels were authorized by the token that is to go: one that allows less would leave them open without leave.
        return Self.covers(next.allowedAgents, token.claims.allowedAgents)
            && Self.covers(next.allowedAddresses, token.claims.allowedAddresses)
            ? nil : Refusal(.authenticationFailed, "the token allows less than the one that it is to replace")
    }

    /// Nil stands for everything.
    private static func covers(_ list: [String]?, _ other: [String]?) -> Bool {
        guard let list else { return true }
        guard let other else { return false }
        return Set(list).isSuperset(of: other)
    }
}

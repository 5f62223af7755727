import Synchronization
import Tokens
import Transport
import Wire

/// Which tokens the relay takes. Shared by all event loops; what it goes by may be replaced at any time, and whoever does so has all links
/// reviewed afterwards.
final class TokenPolicy: Sendable {
    private struct Rules {
        var verifier: TokenVerifier
        var revocations: Revocations
    }

    private let rules: Mutex<Rules>

    init(verifier: TokenVerifier, revocations: Revocations) {
        rules = Mutex(Rules(verifier: verifier, revocations: revocations))
    }

    func use(_ keyring: Keyring) {
        rules.withLock { $0.verifier.keyring = keyring }
    }

    func use(_ revocations: Revocations) {
        rules.withLock { $0.revocations = revocations }
    }

    /// What the token says, if whoever has proved to hold `key` may come in with it. `now` is in seconds since 1970.
    func admit(_ token: String, key: Fingerprint, now: Int64) throws(Refusal) -> VerifiedToken {
        let verifier = rules.withLock { $0.verifier }
        let verified: VerifiedToken
        do throws(TokenError) {
            verified = try verifier.verify(token, now: now)
        } catch {
            let code: RefusalCode = if case .expired = error { .tokenExpired } else { .authenticationFailed }
            throw Refusal(code, error.reason)
        }
        if let bound = verified.claims.boundKey, bound != key.digestBytes {
            throw Refusal(.authenticationFailed, "the token is bound to another key than \(key)")
        }
        if let refusal = objection(to: verified) { throw refusal }
        return verified
    }

    /// Why a token that was good once is so no more, its time apart; nil if it is.
    func objection(to token: VerifiedToken) -> Refusal? {
        let rules = rules.withLock { $0 }
        if rules.revocations.contains(token.claims) { return Refusal(.tokenRevoked, "the token has been revoked") }
        return rules.verifier.keyring.contains(token.key)
            ? nil : Refusal(.tokenRevoked, "the secret that signed the token has been retired")
    }
}

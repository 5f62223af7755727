import Tokens
import Transport
import Wire

/// Which tokens the relay takes.
struct TokenPolicy: Sendable {
    let verifier: TokenVerifier

    /// What the token says, if whoever has proved to hold `key` may come in with it. `now` is in seconds since 1970.
    func admit(_ token: String, key: Fingerprint, now: Int64) throws(Refusal) -> VerifiedToken {
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
        return verified
    }
}

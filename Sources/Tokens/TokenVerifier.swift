/// Tells whether a token was made with the secret, is in its time, and what it says; never who may do what, which is the relay's to decide.
/// May be used from any thread, and from several at once.
package struct TokenVerifier: Sendable {
    /// How far the clocks of issuer and relay may be apart, in seconds.
    package static let leewaySeconds: Int64 = 60
    /// Longer tokens are refused unread.
    package static let maximumTokenBytes = 8 * 1024

    private let secret: TokenSecret

    /// Verifies against `secret`; nothing can fail before `verify`.
    package init(secret: TokenSecret) {
        self.secret = secret
    }

    /// Checks structure, algorithm, signature, claims and times, in this order. Claims are read from the bytes that were signed.
    ///
    /// - Parameters:
    ///   - token: The compact form, without anything around it.
    ///   - now: Seconds since 1970; any value.
    /// - Throws: Any `TokenError` but those of secrets and `cannotSign`.
    package func verify(_ token: String, now: Int64) throws(TokenError) -> Claims {
        let token = try CompactToken(token)
        try JWTObject.verify(token, with: secret)
        let claims = try Claims(token.claims)
        try Self.checkTimes(of: claims, now: now)
        return claims
    }

    /// A claim's time is far from the ends of Int64, `now` need not be.
    private static func checkTimes(of claims: Claims, now: Int64) throws(TokenError) {
        guard claims.expiresAt + leewaySeconds > now else { throw .expired(secondsAgo: now - claims.expiresAt) }
        let begin = max(claims.issuedAt, claims.notBefore ?? claims.issuedAt)
        guard begin - leewaySeconds <= now else {
            let (wait, overflow) = begin.subtractingReportingOverflow(now)
            throw .notYetValid(seconds: overflow ? .max : wait)
        }
    }
}

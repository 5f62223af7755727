/// Tells whether a token was made with the secret, is in its time, and what it says; never who may do what, which is the relay's to decide.
/// May be used from any thread, and from several at once.
package struct TokenVerifier: Sendable {
    /// How far the issuer's clock may be ahead of the relay's, in seconds: a fresh token is good at once. There is none at a token's end, where
    /// open links end too.
    package static let leewaySeconds: Int64 = 60
    /// Longer tokens are refused unread.
    package static let maximumTokenBytes = 8 * 1024

    /// Whose tokens are taken. Another one may take its place at any time.
    package var keyring: Keyring
    private let issuer: String?
    private let audience: String?

    /// Nothing can fail before `verify`.
    ///
    /// - Parameters:
    ///   - keyring: Whose tokens are taken.
    ///   - issuer: What `iss` has to be; nil for anything, also nothing.
    ///   - audience: What `aud` has to name. Nil where a token must name nobody: one that does is for somebody else (RFC 7519 §4.1.3).
    package init(keyring: Keyring, issuer: String? = nil, audience: String? = nil) {
        self.keyring = keyring
        self.issuer = issuer
        self.audience = audience
    }

    /// Checks structure, algorithm, signature, claims, issuer, audience and times, in this order. Claims are read from the bytes that were signed.
    ///
    /// - Parameters:
    ///   - token: The compact form, without anything around it.
    ///   - now: Seconds since 1970; any value.
    /// - Throws: Any `TokenError` but those of secrets and `cannotSign`.
    package func verify(_ token: String, now: Int64) throws(TokenError) -> VerifiedToken {
        let token = try CompactToken(token)
        guard let key = keyring.key(verifying: token.keyID) else { throw .keyUnknown(token.keyID) }
        try JWTObject.verify(token, with: key.secret)
        let claims = try Claims(token.claims)
        try checkParties(of: claims)
        try Self.checkTimes(of: claims, now: now)
        return VerifiedToken(claims: claims, key: key)
    }

    /// RFC 8725 §3.8 and §3.9.
    private func checkParties(of claims: Claims) throws(TokenError) {
        if let issuer {
            guard let stated = claims.issuer else { throw .claimMissing(.issuer) }
            guard stated.utf8.elementsEqual(issuer.utf8) else { throw .issuerRefused }
        }
        guard let audience else {
            guard claims.audience == nil else { throw .audienceRefused }
            return
        }
        guard let stated = claims.audience else { throw .claimMissing(.audience) }
        guard stated.contains(where: { $0.utf8.elementsEqual(audience.utf8) }) else { throw .audienceRefused }
    }

    /// A claim's time is far from the ends of Int64, `now` need not be.
    private static func checkTimes(of claims: Claims, now: Int64) throws(TokenError) {
        guard claims.expiresAt > now else { throw .expired(secondsAgo: now - claims.expiresAt) }
        let begin = max(claims.issuedAt, claims.notBefore ?? claims.issuedAt)
        guard begin - leewaySeconds <= now else {
            let (wait, overflow) = begin.subtractingReportingOverflow(now)
            throw .notYetValid(seconds: overflow ? .max : wait)
        }
    }
}

/// What a token says that was found to be good, and by which key.
package struct VerifiedToken: Sendable {
    /// What it says.
    package let claims: Claims
    /// The key that verified it. It may have left the ring since.
    package let key: Keyring.Key
}

/// Makes tokens. May be used from any thread, and from several at once.
package struct TokenIssuer: Sendable {
    private let key: Keyring.Key

    /// Signs with `key`, and names it in the header if it has a name; nothing can fail before `issue`.
    package init(key: Keyring.Key) {
        self.key = key
    }

    /// Signs `claims` as they are given: the times are the caller's.
    ///
    /// - Returns: A token of at most `TokenVerifier.maximumTokenBytes`.
    /// - Throws: `claimInvalid` or `neverValid` for claims that the verifier would refuse, `tokenTooLong`, or `cannotSign`.
    package func issue(_ claims: Claims) throws(TokenError) -> String {
        try claims.check()
        let token = try JWTObject.sign(claims.json(), with: key)
        guard token.utf8.count <= TokenVerifier.maximumTokenBytes else { throw .tokenTooLong(bytes: token.utf8.count) }
        return token
    }
}

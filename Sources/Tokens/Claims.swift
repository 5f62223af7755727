/// What a token says about its bearer. Times are whole seconds since 1970: RFC 7519 allows fractions, adit issues and accepts none.
///
/// Unknown claims are ignored. Who may do what with these claims is the relay's to decide, as is whether the bearer has the key of `boundKey`.
package struct Claims: Sendable, Equatable {
    /// What the bearer may connect as.
    package enum Role: String, Sendable {
        /// Registers an agent ID.
        case agent
        /// Opens tunnels to agents.
        case client
    }

    /// The claims that adit knows, by their names in the token.
    package enum Name: String, Sendable {
        /// `sub`
        case subject = "sub"
        /// `iat`
        case issuedAt = "iat"
        /// `exp`
        case expiresAt = "exp"
        /// `nbf`
        case notBefore = "nbf"
        /// `iss`
        case issuer = "iss"
        /// `aud`
        case audience = "aud"
        /// `role`
        case role
        /// `allowed_agents`
        case allowedAgents = "allowed_agents"
        /// `allowed_addresses`
        case allowedAddresses = "allowed_addresses"
        /// `jti`
        case tokenID = "jti"
        /// `cnf` (RFC 7800)
        case confirmation = "cnf"
    }

    /// The latest time that a token may name: the end of the year 9999.
    package static let latestTime: Int64 = 253_402_300_799
    /// How long a string in a claim may be, in bytes of UTF-8.
    package static let maximumStringBytes = 256
    /// How long the digest of a key is: SHA-256's.
    package static let digestBytes = 32
    /// How many entries a list in a claim may have.
    package static let maximumEntries = 256

    /// `sub`: whom the token speaks of. 1 to 256 bytes, nothing that disturbs a line of text.
    package var subject: String
    /// `iat`: when the token was made. 0 to `latestTime`.
    package var issuedAt: Int64
    /// `exp`: when it ends. Later than `issuedAt`, at most `latestTime`.
    package var expiresAt: Int64
    /// `nbf`: when it begins, if not when it was made. 0 to `latestTime`.
    package var notBefore: Int64?
    /// `iss`: who made the token, in the issuer's own words. 1 to 256 bytes, like `subject`.
    package var issuer: String?
    /// `aud`: the relays that the token is for, by their names. Nil where the token says nothing.
    package var audience: [String]?
    /// `role`: nil where the token serves either role.
    package var role: Role?
    /// `allowed_agents`: agent IDs, or globs with `*`. Nil where the token says nothing, empty where it allows none.
    package var allowedAgents: [String]?
    /// `allowed_addresses`: `host:port`. Nil where the token says nothing, empty where it allows none.
    package var allowedAddresses: [String]?
    /// `jti`: 1 to 256 bytes, like `subject`.
    package var tokenID: String?
    /// `cnf`: the SHA-256 of the SubjectPublicKeyInfo of the bearer's key, `digestBytes` of it. Nil where the token serves whoever has it.
    package var boundKey: [UInt8]?

    /// Takes the values as they are; `TokenIssuer` checks them.
    package init(
        subject: String, issuedAt: Int64, expiresAt: Int64, notBefore: Int64? = nil, issuer: String? = nil,
        audience: [String]? = nil, role: Role? = nil, allowedAgents: [String]? = nil,
        allowedAddresses: [String]? = nil, tokenID: String? = nil, boundKey: [UInt8]? = nil
    ) {
        self.subject = subject
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.notBefore = notBefore
        self.issuer = issuer
        self.audience = audience
        self.role = role
        self.allowedAgents = allowedAgents
        self.allowedAddresses = allowedAddresses
        self.tokenID = tokenID
        self.boundKey = boundKey
    }

    /// Holds issued and received claims to the same limits, so that no token is made that would be refused.
    func check() throws(TokenError) {
        try Self.check(subject, .subject)
        try Self.check(issuedAt, .issuedAt)
        try Self.check(expiresAt, .expiresAt)
        if let notBefore { try Self.check(notBefore, .notBefore) }
        if let issuer { try Self.check(issuer, .issuer) }
        if let audience { try Self.check(audience, .audience) }
        if let allowedAgents { try Self.check(allowedAgents, .allowedAgents) }
        if let allowedAddresses { try Self.check(allowedAddresses, .allowedAddresses) }
        if let tokenID { try Self.check(tokenID, .tokenID) }
        guard boundKey.map({ $0.count == Self.digestBytes }) ?? true else { throw .claimInvalid(.confirmation) }
        guard expiresAt > issuedAt else { throw .neverValid }
    }

    private static func check(_ time: Int64, _ name: Name) throws(TokenError) {
        guard (0...latestTime).contains(time) else { throw .claimInvalid(name) }
    }

    private static func check(_ entries: [String], _ name: Name) throws(TokenError) {
        guard entries.count <= maximumEntries else { throw .claimInvalid(name) }
        for entry in entries { try check(entry, name) }
    }

    private static func check(_ text: String, _ name: Name) throws(TokenError) {
        guard (1...maximumStringBytes).contains(text.utf8.count), isPlain(text) else {
            throw .claimInvalid(name)
        }
    }

    private static func isPlain(_ text: String) -> Bool {
        // Nearly all are ASCII, and to look up a scalar's properties costs more than the rest of the check.
        text.utf8.allSatisfy { (0x20...0x7E).contains($0) } || text.unicodeScalars.allSatisfy(isPlain)
    }

    /// Claims end up in log lines. A character that breaks a line, or that turns its direction, would let a subject pass for another one.
    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: false
        default: !scalar.properties.isBidiControl
        }
    }
}

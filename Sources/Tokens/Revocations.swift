/// The tokens that are taken no more, by their IDs (`jti`).
package struct Revocations: Sendable, Equatable {
    private var tokenIDs: Set<String> = []

    /// None.
    package init() {}

    /// Reads a file with a token ID a line; `#` begins a comment. A token ID with blanks cannot be written there.
    ///
    /// - Throws: `notText`; `revocationMalformed`, in `line`.
    package init(reading bytes: [UInt8]) throws(TokenError) {
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .notText }
        for line in FieldLine.all(in: text) {
            // A label before the ID would else revoke nothing, and nobody would notice.
            guard line.fields.count == 1 else { throw .line(line.number, .revocationMalformed) }
            tokenIDs.insert(String(line.fields[0]))
        }
    }

    /// How many they are.
    package var count: Int { tokenIDs.count }

    /// Whether a token with these claims is one of them. A token without an ID never is.
    package func contains(_ claims: Claims) -> Bool {
        claims.tokenID.map(tokenIDs.contains) ?? false
    }
}

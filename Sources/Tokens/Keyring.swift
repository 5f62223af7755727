/// The secrets whose tokens a relay takes; at least one, in the order in which they were given. Several let a secret be added, and an old one
/// retired, while tokens of both are about.
package struct Keyring: Sendable {
    /// A secret, and the name by which tokens ask for it (`kid`, RFC 7515 §4.1.4).
    package struct Key: Sendable, Equatable {
        /// Nil for the secret of tokens that name none.
        package let id: KeyID?
        /// What signs and verifies.
        package let secret: TokenSecret

        /// A secret with or without a name.
        package init(id: KeyID? = nil, secret: TokenSecret) {
            self.id = id
            self.secret = secret
        }
    }

    /// The keys in their order.
    package let keys: [Key]

    /// A ring of one secret without a name.
    package init(_ secret: TokenSecret) {
        keys = [Key(secret: secret)]
    }

    private init(keys: [Key]) {
        self.keys = keys
    }

    /// Whether it holds this very key: the same secret under the same name.
    package func contains(_ key: Key) -> Bool { keys.contains(key) }

    /// The key of that name; without a name the first key.
    package func key(_ id: KeyID?) -> Key? {
        id.map { id in keys.first { $0.id == id } } ?? keys.first
    }

    /// The one key that may have signed a token: that of its `kid`; for a token without, the secret without a name, or else the first.
    func key(verifying id: KeyID?) -> Key? {
        if let id { return keys.first { $0.id == id } }
        return keys.first { $0.id == nil } ?? keys.first
    }
}

extension Keyring {
    /// Reads a file of secrets, without the line break at its end.
    ///
    /// A ring has a line `kid=ID SECRET` for each key, and at most one line with a `SECRET` alone; `#` begins a comment. Text without a line
    /// that begins with `kid=`, and which does not begin with `#`, is one secret, all of it, whatever bytes it has.
    ///
    /// - Throws: What `TokenSecret` throws; for a ring `keyringEmpty`, or in `line` also `keyMalformed` and `keyTwice`.
    package init(reading bytes: [UInt8], allowShort: Bool = false) throws(TokenError) {
        guard let lines = Self.lines(ofRing: bytes) else {
            self.init(try TokenSecret(bytes, allowShort: allowShort))
            return
        }
        var keys: [Key] = []
        for line in lines {
            do throws(TokenError) {
                let key = try Self.key(line.fields, allowShort: allowShort)
                guard !keys.contains(where: { $0.id == key.id }) else { throw .keyTwice }
                keys.append(key)
            } catch {
                throw .line(line.number, error)
            }
        }
        guard !keys.isEmpty else { throw .keyringEmpty }
        self.init(keys: keys)
    }

    private static let idPrefix = "kid="

    /// Nil for one bare secret.
    private static func lines(ofRing bytes: [UInt8]) -> [FieldLine]? {
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        let lines = FieldLine.all(in: text)
        let isRing = text.hasPrefix("#") || lines.contains { $0.fields[0].hasPrefix(idPrefix) }
        return isRing ? lines : nil
    }

    private static func key(_ fields: [Substring], allowShort: Bool) throws(TokenError) -> Key {
        var fields = fields[...]
        var id: KeyID?
        if let first = fields.first, first.hasPrefix(idPrefix) {
            id = KeyID(String(first.dropFirst(idPrefix.count)))
            guard id != nil else { throw .keyMalformed }
            fields = fields.dropFirst()
        }
        guard fields.count == 1, let secret = fields.first else { throw .keyMalformed }
        return Key(id: id, secret: try TokenSecret(Array(secret.utf8), allowShort: allowShort))
    }
}

/// The name of a secret (`kid`): 1 to 64 of `A-Z a-z 0-9 . _ -`. Not secret itself: every token shows it.
package struct KeyID: Hashable, Sendable, LosslessStringConvertible {
    package let description: String

    /// Nil for any other text.
    package init?(_ description: String) {
        let isName = description.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
                true
            default: false
            }
        }
        guard isName, (1...64).contains(description.utf8.count) else { return nil }
        self.description = description
    }
}

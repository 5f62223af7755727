import COpenSSL

/// A name that a file of keys does not give away: `|HMAC-SHA256|SALT|HASH`, salt and hash as 43 characters of base64 each. The hash
/// is HMAC-SHA-256 with the salt as its key over the name's UTF-8. Whoever reads the file can still try names.
package struct HashedName: Equatable, Sendable {
    private let salt: [UInt8]
    private let hash: [UInt8]

    /// Hashes `name` with a fresh salt. Throws `.environment` without randomness.
    package init(hashing name: String) throws(TLSError) {
        var salt = [UInt8](repeating: 0, count: Base64.byteCount)
        ErrorQueue.clear()
        guard RAND_bytes(&salt, Int32(Base64.byteCount)) == 1 else { throw ErrorQueue.environment("drawing a salt") }
        self.salt = salt
        hash = Self.hash(name, salt: salt)
        guard hash.count == Base64.byteCount else { throw ErrorQueue.environment("hashing a name") }
    }

    /// Whether it was made of `name`.
    package func stands(for name: String) -> Bool {
        hash == Self.hash(name, salt: salt)
    }

    /// Empty without memory, which then stands for no name.
    private static func hash(_ name: String, salt: [UInt8]) -> [UInt8] {
        let name = Array(name.utf8)
        return [UInt8](unsafeUninitializedCapacity: Base64.byteCount) { buffer, initialized in
            var count: UInt32 = 0
            HMAC(EVP_sha256(), salt, Int32(Base64.byteCount), name, name.count, buffer.baseAddress, &count)
            initialized = Int(count)
        }
    }
}

extension HashedName: LosslessStringConvertible {
    private static let prefix = "|HMAC-SHA256|"

    /// As it stands in a file.
    package var description: String {
        "\(Self.prefix)\(Base64.encode(salt))|\(Base64.encode(hash))"
    }

    /// Reads what `description` writes and nothing else.
    package init?(_ description: String) {
        guard description.hasPrefix(Self.prefix) else { return nil }
        let parts = description.dropFirst(Self.prefix.count).split(separator: "|", omittingEmptySubsequences: false)
        guard parts.count == 2, let salt = Base64.decode(parts[0].utf8), let hash = Base64.decode(parts[1].utf8) else {
            return nil
        }
        self.salt = salt
        self.hash = hash
    }
}

import COpenSSL

/// The name of a public key: `SHA256:` and the unpadded base64 of the SHA-256 of its SubjectPublicKeyInfo.
/// It names the key and not the certificate, so it outlives a renewed certificate.
package struct Fingerprint: Hashable, Sendable {
    /// The 32 bytes of the SHA-256.
    package let digest: [UInt8]

    private static let prefix = "SHA256:"

    /// Of the key in `certificate`, an `X509`; nil when the key cannot be encoded.
    init?(certificate: OpaquePointer) {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded)
        guard count > 0, let encoded else { return nil }
        defer { adit_free(encoded) }
        self.init(encodedKey: Array(UnsafeBufferPointer(start: encoded, count: Int(count))))
    }

    /// Of the key whose DER-encoded SubjectPublicKeyInfo is `encodedKey`.
    init(encodedKey: [UInt8]) {
        digest = [UInt8](unsafeUninitializedCapacity: Base64.byteCount) { buffer, initialized in
            SHA256(encodedKey, encodedKey.count, buffer.baseAddress)
            initialized = Base64.byteCount
        }
    }
}

extension Fingerprint: LosslessStringConvertible {
    /// `SHA256:` and 43 characters of base64.
    package var description: String {
        Self.prefix + Base64.encode(digest)
    }

    /// Reads what `description` writes and nothing else: one key has one spelling.
    package init?(_ description: String) {
        guard description.utf8.starts(with: Self.prefix.utf8),
            let digest = Base64.decode(description.dropFirst(Self.prefix.count).utf8)
        else { return nil }
        self.digest = digest
    }
}

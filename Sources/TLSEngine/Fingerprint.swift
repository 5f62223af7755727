import COpenSSL

/// The name of a public key: `SHA256:` and the unpadded base64 of the SHA-256 of its SubjectPublicKeyInfo.
/// It names the key and not the certificate, so it outlives a renewed certificate.
package struct Fingerprint: Hashable, Sendable {
    /// The 32 bytes of the SHA-256.
    package let digest: [UInt8]

    private static let prefix = "SHA256:"
    private static let byteCount = 32
    private static let characterCount = 43
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8: UInt8] = Dictionary(
        uniqueKeysWithValues: alphabet.enumerated().map { ($0.element, UInt8($0.offset)) })

    /// Of the key in `certificate`, an `X509`; nil when the key cannot be encoded.
    init?(certificate: OpaquePointer) {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &encoded)
        guard count > 0, let encoded else { return nil }
        defer { adit_free(encoded) }
        digest = [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, initialized in
            SHA256(encoded, Int(count), buffer.baseAddress)
            initialized = Self.byteCount
        }
    }
}

extension Fingerprint: LosslessStringConvertible {
    /// `SHA256:` and 43 characters of base64.
    package var description: String {
        var text = Self.prefix
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in digest {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.unicodeScalars.append(Self.character(bits >> UInt32(bitCount)))
            }
        }
        text.unicodeScalars.append(Self.character(bits << UInt32(6 - bitCount)))
        return text
    }

    /// Reads what `description` writes and nothing else: no padding, no blanks, no set bits beyond the last byte. One key has
    /// one spelling, so fingerprints may be compared as text wherever they are stored.
    package init?(_ description: String) {
        let text = description.utf8
        guard text.starts(with: Self.prefix.utf8) else { return nil }
        let encoded = text.dropFirst(Self.prefix.utf8.count)
        guard encoded.count == Self.characterCount else { return nil }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for character in encoded {
            guard let value = Self.values[character] else { return nil }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        guard bits & (1 << UInt32(bitCount) - 1) == 0 else { return nil }
        digest = bytes
    }

    private static func character(_ bits: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(alphabet[Int(bits & 0x3f)])
    }
}

import COpenSSL

/// ECDSA with P-256 and SHA-256, over keys as DER has them: the one kind of key that identities have.
enum P256 {
    /// Of a SubjectPublicKeyInfo with a named curve and an uncompressed point (RFC 5480 §2).
    static let encodedCount = 91
    /// Of an ECDSA-Sig-Value (RFC 3279 §2.2.3): two numbers of at most 33 bytes.
    static let longestSignature = 72

    /// All that precedes the point's coordinates. A key that is written otherwise (parameters in full, a compressed point) is not
    /// looked at: each key has one spelling.
    private static let prefix: [UInt8] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ]

    /// DER of the key in `certificate`, an `X509`; nil when it is of another kind.
    static func encodedKey(of certificate: OpaquePointer) -> [UInt8]? {
        encoded { i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &$0) }
    }

    /// DER of the public half of `key`, an `EVP_PKEY`; nil when it is of another kind.
    static func encodedKey(_ key: OpaquePointer) -> [UInt8]? {
        encoded { i2d_PUBKEY(key, &$0) }
    }

    private static func encoded(_ encode: (inout UnsafeMutablePointer<UInt8>?) -> Int32) -> [UInt8]? {
        var encoded: UnsafeMutablePointer<UInt8>?
        let count = encode(&encoded)
        guard count > 0, let encoded else { return nil }
        defer { adit_free(encoded) }
        let bytes = Array(UnsafeBufferPointer(start: encoded, count: Int(count)))
        return isKey(bytes) ? bytes : nil
    }

    private static func isKey(_ encoded: [UInt8]) -> Bool {
        encoded.count == encodedCount && encoded.starts(with: prefix)
    }

    /// Throws `.environment`.
    static func sign(_ text: [UInt8], by key: OpaquePointer) throws(TLSError) -> [UInt8] {
        ErrorQueue.clear()
        let context = try Owned(EVP_MD_CTX_new(), EVP_MD_CTX_free, "signing")
        var signature = [UInt8](repeating: 0, count: longestSignature)
        var count = signature.count
        guard EVP_DigestSignInit(context.pointer, nil, EVP_sha256(), nil, key) == 1,
            EVP_DigestSign(context.pointer, &signature, &count, text, text.count) == 1
        else { throw ErrorQueue.environment("signing") }
        return Array(signature.prefix(count))
    }

    /// Whether `signature` is `key`'s. Both may be anything.
    static func verify(_ signature: [UInt8], over text: [UInt8], by key: [UInt8]) -> Bool {
        guard isKey(key) else { return false }
        // What fails here must not stay behind in the queue: a handshake is under way on this thread.
        ERR_set_mark()
        defer { ERR_pop_to_mark() }
        return key.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            guard let parsed = d2i_PUBKEY(nil, &start, bytes.count) else { return false }
            defer { EVP_PKEY_free(parsed) }
            guard let context = EVP_MD_CTX_new() else { return false }
            defer { EVP_MD_CTX_free(context) }
            return EVP_DigestVerifyInit(context, nil, EVP_sha256(), nil, parsed) == 1
                && EVP_DigestVerify(context, signature, signature.count, text, text.count) == 1
        }
    }
}

import COpenSSL

/// By what a key shows that it follows another: each old key has signed its successor (PROTOCOL §6.1).
///
/// It travels in an extension of the certificate, as statements of the form
///
///     key of the predecessor (91 bytes of DER) │ length of the signature (1 byte) │ signature (DER)
///
/// the newest first. Nothing here proves that a peer holds the newest key: the handshake does.
struct Rotation: Sendable {
    /// What a certificate holds at most; older ones are left out.
    static let mostStatements = 16
    static let largestEncoding = mostStatements * (P256.encodedCount + 1 + P256.longestSignature)

    /// DER of the key that the statements lead to.
    let key: [UInt8]
    /// As in the extension; from a peer it may be anything.
    let encoded: [UInt8]

    /// Statements of whatever kind about a key.
    init(key: [UInt8], encoded: [UInt8]) {
        self.key = key
        self.encoded = encoded
    }

    /// What `certificate`, an `X509`, says; nil when it says nothing, or more than is allowed.
    init?(certificate: OpaquePointer) {
        guard let identifier = Self.identifier else { return nil }
        let index = X509_get_ext_by_OBJ(certificate, identifier, -1)
        guard index >= 0, let value = X509_EXTENSION_get_data(X509_get_ext(certificate, index)),
            let key = P256.encodedKey(of: certificate)
        else { return nil }
        let count = Int(ASN1_STRING_length(value))
        guard (1...Self.largestEncoding).contains(count) else { return nil }
        self.init(
            key: key, encoded: Array(UnsafeBufferPointer(start: ASN1_STRING_get0_data(value), count: count)))
    }

    /// The keys from which the statements lead here, the newest first, as far as their signatures hold.
    /// Costs a verification for each.
    var predecessors: [Fingerprint] {
        var found: [Fingerprint] = []
        var successor = key
        var rest = encoded[...]
        while found.count < Self.mostStatements, let (key, signature) = Self.takeStatement(&rest),
            P256.verify(signature, over: Self.signedText(successor: successor, predecessor: key), by: key)
        {
            found.append(Fingerprint(encodedKey: key))
            successor = key
        }
        return found
    }

    private static func takeStatement(_ rest: inout ArraySlice<UInt8>) -> (key: [UInt8], signature: [UInt8])? {
        let key = rest.prefix(P256.encodedCount)
        let tail = rest.dropFirst(P256.encodedCount)
        guard key.count == P256.encodedCount, let length = tail.first else { return nil }
        let signature = tail.dropFirst().prefix(Int(length))
        guard signature.count == Int(length) else { return nil }
        rest = tail.dropFirst(1 + Int(length))
        return (Array(key), Array(signature))
    }

    /// The words say what the signature is for: the same key signs certificates and handshakes, none of which begins so.
    private static func signedText(successor: [UInt8], predecessor: [UInt8]) -> [UInt8] {
        Array("adit key rotation 1".utf8) + [0] + predecessor + successor
    }

    /// From the arc of UUIDs (ITU-T X.667), which need no registration.
    static let identifierText = "2.25.96335423782308315108203011895084971107"

    /// Proof that sharing it is safe: it is made once, and never changed or freed.
    private nonisolated(unsafe) static let identifier = OBJ_txt2obj(identifierText, 1)
}

extension Rotation {
    /// The extension for the certificate of `successor`, the key that follows the one of `certificate`, whose private half signs:
    /// an `X509_EXTENSION`. Throws `.misuse` for keys that are not P-256, and `.environment`.
    static func extending(
        certificate: OpaquePointer, key: OpaquePointer, to successor: OpaquePointer
    ) throws(TLSError) -> Owned {
        guard let predecessor = P256.encodedKey(of: certificate), let successor = P256.encodedKey(successor) else {
            throw .misuse("only a P-256 key can be followed by another")
        }
        let signature = try P256.sign(signedText(successor: successor, predecessor: predecessor), by: key)
        var encoded = predecessor + [UInt8(truncatingIfNeeded: signature.count)] + signature
        var older = Rotation(certificate: certificate)?.encoded[...] ?? []
        for _ in 1..<mostStatements {
            guard let (key, signature) = takeStatement(&older) else { break }
            encoded += key + [UInt8(truncatingIfNeeded: signature.count)] + signature
        }
        guard let identifier, let value = ASN1_OCTET_STRING_new() else {
            throw ErrorQueue.environment("signing the new key")
        }
        defer { ASN1_OCTET_STRING_free(value) }
        guard ASN1_OCTET_STRING_set(value, encoded, Int32(clamping: encoded.count)) == 1 else {
            throw ErrorQueue.environment("signing the new key")
        }
        let notCritical: Int32 = 0
        return try Owned(
            X509_EXTENSION_create_by_OBJ(nil, identifier, notCritical, value), X509_EXTENSION_free,
            "signing the new key")
    }
}

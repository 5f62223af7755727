import COpenSSL

/// A private key with the certificates that present it.
///
/// `@unchecked Sendable`: nothing changes after `init`, and OpenSSL counts references to keys and certificates atomically.
package final class Identity: @unchecked Sendable {
    private let key: Owned
    private let certificate: Owned
    /// The chain above the certificate, a stack of `X509`.
    private let intermediates: Owned

    /// Of this identity's public key.
    package let fingerprint: Fingerprint

    private init(
        key: consuming Owned, certificate: consuming Owned, intermediates: consuming Owned
    ) throws(TLSError) {
        guard let fingerprint = Fingerprint(certificate: certificate.pointer) else {
            throw ErrorQueue.environment("encoding the public key")
        }
        self.key = key
        self.certificate = certificate
        self.intermediates = intermediates
        self.fingerprint = fingerprint
    }

    /// Makes an ECDSA P-256 key and a self-signed certificate without end of validity, in memory only.
    /// Throws `.misuse` for a `commonName` outside X.509's 1...64 characters, and `.environment`.
    package static func generate(commonName: String) throws(TLSError) -> Identity {
        ErrorQueue.clear()
        let key = try Owned(adit_generate_p256(), EVP_PKEY_free, "generating a key")
        let certificate = try selfSignedCertificate(for: key.pointer, commonName: commonName)
        let none = try Owned(adit_x509_stack_new(), adit_x509_stack_free, "making a certificate chain")
        return try Identity(key: key, certificate: certificate, intermediates: none)
    }

    /// The identity in the file at `path` (PEM: key and certificate, mode 0600), which is made first if it is not there,
    /// together with its directories (mode 0700). Processes that race to make it end with the same one.
    /// Throws `.permissions` when others can read or write the file, `.file` when it cannot be read, written or understood (and
    /// leaves it as it is), `.misuse` for an impossible `commonName`, and `.environment`.
    package static func loadOrCreate(path: String, commonName: String) throws(TLSError) -> Identity {
        if let contents = try PrivateFile.read(path) { return try parse(contents, path: path) }
        let made = try generate(commonName: commonName)
        let bytes = try made.encoded()
        if try PrivateFile.create(path, bytes.bytes) { return made }
        guard let contents = try PrivateFile.read(path) else {
            throw .file(path: path, reason: "neither there nor possible to make")
        }
        return try parse(contents, path: path)
    }

    /// Replaces the identity in the file at `path` by one with a new key, which the old key signs: whoever trusts the old key can
    /// follow. The old key is gone then. Throws `.file` when there is none, when its key is not P-256, and as `loadOrCreate`.
    package static func rotate(path: String, commonName: String) throws(TLSError) -> Identity {
        guard let contents = try PrivateFile.read(path) else { throw .file(path: path, reason: "does not exist") }
        let old = try parse(contents, path: path)
        guard P256.encodedKey(of: old.certificate.pointer) != nil else {
            throw .file(path: path, reason: "only a P-256 key can be followed by another")
        }
        let key = try Owned(adit_generate_p256(), EVP_PKEY_free, "generating a key")
        let rotation = try Rotation.extending(
            certificate: old.certificate.pointer, key: old.key.pointer, to: key.pointer)
        let certificate = try selfSignedCertificate(
            for: key.pointer, commonName: commonName, rotation: rotation.pointer)
        let none = try Owned(adit_x509_stack_new(), adit_x509_stack_free, "making a certificate chain")
        let new = try Identity(key: key, certificate: certificate, intermediates: none)
        let bytes = try new.encoded()
        try PrivateFile.replace(path, bytes.bytes)
        return new
    }

    /// An operator's certificate chain, leaf first, and its key, both PEM. Throws `.file` for one that cannot be read or
    /// understood, or when the key is not the leaf's, and `.environment`.
    package static func load(certificateFile: String, keyFile: String) throws(TLSError) -> Identity {
        let certificates = try PrivateFile.readAny(certificateFile)
        let keys = try PrivateFile.readAny(keyFile)
        return try parse(
            certificates: certificates, certificateFile: certificateFile, key: keys, keyFile: keyFile)
    }

    /// Makes `context`, an `SSL_CTX`, present this identity.
    func install(in context: OpaquePointer) throws(TLSError) {
        guard
            SSL_CTX_use_cert_and_key(context, certificate.pointer, key.pointer, intermediates.pointer, 1) == 1
        else { throw ErrorQueue.environment("using the identity") }
    }
}

// MARK: - PEM

extension Identity {
    /// Key and certificate as PEM, in memory that OpenSSL wipes.
    private func encoded() throws(TLSError) -> SecretPEM {
        let pem = try SecretPEM()
        guard
            PEM_write_bio_PrivateKey(pem.bio.pointer, key.pointer, nil, nil, 0, nil, nil) == 1,
            PEM_write_bio_X509(pem.bio.pointer, certificate.pointer) == 1
        else { throw ErrorQueue.environment("encoding the identity") }
        return pem
    }

    private static func parse(_ contents: borrowing FileContents, path: String) throws(TLSError) -> Identity {
        try parse(certificates: contents, certificateFile: path, key: contents, keyFile: path)
    }

    private static func parse(
        certificates: borrowing FileContents, certificateFile: String,
        key keys: borrowing FileContents, keyFile: String
    ) throws(TLSError) -> Identity {
        ErrorQueue.clear()
        let keyReader = try keys.reader()
        guard let parsedKey = PEM_read_bio_PrivateKey(keyReader.pointer, nil, adit_no_passphrase, nil) else {
            throw .file(
                path: keyFile, reason: "no usable private key: \(ErrorQueue.drain().reason ?? "unknown format")")
        }
        let key = try Owned(parsedKey, EVP_PKEY_free, "reading the private key")

        let reader = try certificates.reader()
        guard let parsedCertificate = PEM_read_bio_X509(reader.pointer, nil, adit_no_passphrase, nil) else {
            throw .file(
                path: certificateFile,
                reason: "no usable certificate: \(ErrorQueue.drain().reason ?? "unknown format")")
        }
        let certificate = try Owned(parsedCertificate, X509_free, "reading the certificate")
        guard X509_check_private_key(certificate.pointer, key.pointer) == 1 else {
            ErrorQueue.clear()
            throw .file(path: keyFile, reason: "the private key does not belong to the certificate")
        }
        let rest = try intermediates(reader.pointer, path: certificateFile)
        return try Identity(key: key, certificate: certificate, intermediates: rest)
    }

    private static func intermediates(_ reader: OpaquePointer, path: String) throws(TLSError) -> Owned {
        let stack = try Owned(adit_x509_stack_new(), adit_x509_stack_free, "making a certificate chain")
        while let next = PEM_read_bio_X509(reader, nil, adit_no_passphrase, nil) {
            guard adit_x509_stack_push(stack.pointer, next) else {
                X509_free(next)
                throw ErrorQueue.environment("reading the certificate chain")
            }
        }
        // The end of the file is reported as the start of a certificate that is missing.
        let end = ErrorQueue.drain()
        guard end.isOnlyMissingPEM else {
            throw .file(path: path, reason: end.reason ?? "unreadable certificate chain")
        }
        return stack
    }
}

/// PEM text of a private key, in a BIO over memory that is wiped when freed.
private struct SecretPEM: ~Copyable {
    let bio: Owned

    init() throws(TLSError) {
        bio = try Owned(BIO_new(BIO_s_secmem()), BIO_free_all, "encoding the identity")
    }

    var bytes: UnsafeRawBufferPointer {
        var start: UnsafePointer<UInt8>?
        let count = adit_bio_memory(bio.pointer, &start)
        return UnsafeRawBufferPointer(start: start, count: count)
    }
}

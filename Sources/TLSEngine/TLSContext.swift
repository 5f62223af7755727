import COpenSSL

/// What the connections of one role share: identity, authorities, protocol and the settings of OpenSSL. TLS 1.3 only.
///
/// `@unchecked Sendable`: nothing changes after `init`, and OpenSSL lets any number of threads make connections from one `SSL_CTX`.
package final class TLSContext: @unchecked Sendable {
    /// Which side of the handshake the connections take.
    package enum Role: Sendable {
        /// Speaks first and names the server that it wants.
        case client
        /// Answers, and requires a certificate of the client.
        case server
    }

    /// Whom to believe that a certificate is genuine.
    package enum Authorities: Sendable {
        /// Nobody: the check judges by the fingerprint alone.
        case none
        /// Those that the operating system trusts. They are loaded anew whenever a check asks for them: kept, they would be a
        /// quarter of what an idle role holds.
        case system
        /// The certificates of a PEM file. Each is trusted as it stands, so it may also hold an intermediate or the peer's own.
        case file(String)
    }

    let role: Role
    let authorities: Authorities
    /// The protocol's name, without the length byte.
    let alpn: String
    let handle: Owned
    private let protocolList: UnsafeMutableBufferPointer<UInt8>

    /// Certificates between the peer's and the authority's; longer chains are not looked at.
    private static let maximumChainDepth: Int32 = 4
    /// Bytes of certificates that a peer may make us keep before it has proven anything.
    private static let maximumChainBytes = 32 * 1024

    /// Both roles present `identity`, and a server requires a certificate of its clients: any key reaches the check.
    /// `alpn` (1...255 bytes) is the one protocol offered or required; a peer that does not agree on it is refused.
    /// Throws `.file` for an authorities file that cannot be used, `.misuse`, and `.environment`.
    package init(
        role: Role, identity: Identity, alpn: String, authorities: Authorities = .none
    ) throws(TLSError) {
        guard (1...255).contains(alpn.utf8.count) else { throw .misuse("an alpn protocol has 1 to 255 bytes") }
        ErrorQueue.clear()
        let method = role == .client ? TLS_client_method() : TLS_server_method()
        let handle = try Owned(
            SSL_CTX_new_ex(nil, adit_vector_aes_properties(), method), SSL_CTX_free, "making a tls context")
        let pointer = handle.pointer
        try Self.restrict(pointer)
        try Self.load(authorities, into: pointer)
        try identity.install(in: pointer)

        SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_verify_depth(pointer, Self.maximumChainDepth)
        SSL_CTX_set_cert_verify_callback(pointer, judgePeer, nil)

        let list = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: alpn.utf8.count + 1)
        _ = list.initialize(from: [UInt8(alpn.utf8.count)] + Array(alpn.utf8))
        self.role = role
        self.alpn = alpn
        self.handle = handle
        protocolList = list
        self.authorities = authorities

        switch role {
        case .server:
            adit_ssl_ctx_require_alpn(pointer, list.baseAddress)
        case .client:
            // Unlike its neighbours, this function returns 0 for success.
            guard SSL_CTX_set_alpn_protos(pointer, list.baseAddress, UInt32(list.count)) == 0 else {
                throw ErrorQueue.environment("setting the protocol")
            }
        }
    }

    deinit {
        protocolList.deallocate()
    }

    /// For people: the library with its version, and who else has a hand in it. `OpenSSL 3.0.19, AES-128-GCM by libIPSec_MB`.
    package static var library: String {
        "OpenSSL \(String(cString: OpenSSL_version(OPENSSL_FULL_VERSION_STRING)))"
            + (adit_vector_aes_properties() == nil ? "" : ", AES-128-GCM by libIPSec_MB")
    }

    private static func restrict(_ context: OpaquePointer) throws(TLSError) {
        // Partial writes stay off: a write seals all or fails.
        adit_ssl_ctx_set_mode(context, ADIT_MODE_ACCEPT_MOVING_WRITE_BUFFER)
        // No resumption: every connection proves its key anew, so a revoked or replaced key ends with its connections.
        adit_ssl_ctx_no_session_cache(context)
        adit_ssl_ctx_set_max_cert_list(context, maximumChainBytes)
        SSL_CTX_set_options(
            context,
            ADIT_OP_NO_TICKET | ADIT_OP_NO_COMPRESSION | ADIT_OP_NO_RENEGOTIATION
                | ADIT_OP_CIPHER_SERVER_PREFERENCE | ADIT_OP_PRIORITIZE_CHACHA)
        guard adit_ssl_ctx_only_tls13(context),
            SSL_CTX_set_num_tickets(context, 0) == 1,
            SSL_CTX_set_ciphersuites(context, cipherSuites) == 1,
            adit_ssl_ctx_set_groups(context, "X25519:P-256")
        else { throw ErrorQueue.environment("restricting tls to our settings") }
    }

    /// In order of preference. A server puts ChaCha20 first too when its client does: the client knows its processor.
    private static let cipherSuites =
        adit_cpu_has_aes()
        ? "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"
        : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"

    private static func load(_ authorities: Authorities, into context: OpaquePointer) throws(TLSError) {
        switch authorities {
        case .none, .system:
            break
        case .file(let path):
            guard SSL_CTX_load_verify_file(context, path) == 1 else {
                throw .file(path: path, reason: ErrorQueue.drain().reason ?? "no certificates in it")
            }
            X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), UInt(X509_V_FLAG_PARTIAL_CHAIN))
        }
    }
}

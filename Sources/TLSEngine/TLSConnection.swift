import COpenSSL

//  ┌─────────────┐ established  ┌──────┐ close()  ┌─────────┐
//  │ handshaking │─────────────►│ open │─────────►│ closing │   `closing` still reads: the peer may have more to say
//  └──────┬──────┘              └──┬───┘          └────┬────┘
//         └──────── an error ──────┴───────────────────┴──────►  failed: every later call throws the same error
//

/// One TLS connection, as bytes in and bytes out. Not thread-safe: it belongs to one event loop, and only that one calls it.
///
/// A class because OpenSSL calls back to it while a handshake runs.
package final class TLSConnection {
    private enum State {
        case handshaking
        case open
        case closing
        case failed(TLSError)
    }

    private let context: TLSContext
    private let ssl: Owned
    /// Where ciphertext comes from and goes to; owned by `ssl`.
    private let pipe: OpaquePointer
    private let check: PeerCheck
    private var state = State.handshaking
    /// What the check accepted, not yet backed by the peer's signature.
    private var candidate: PeerCertificate?
    /// Why `judge` ended the handshake, which OpenSSL can only report as a failed verification.
    private var refusal: TLSError?
    private let recordsPerKey: Int
    private var recordsLeft: Int

    /// Who is at the other end; nil until the handshake is `established`.
    package private(set) var peer: PeerCertificate?

    /// Plaintext bytes in a full record, RFC 8446 §5.1.
    private static let recordLimit = 16 * 1024
    /// Header, content type and authentication tag of a record, RFC 8446 §5.2; the same for our three cipher suites.
    private static let recordOverhead = 5 + 1 + 16
    /// Well below the 2^24.5 records after which AES-GCM under one key loses its margin, RFC 8446 §5.5.
    package static let defaultRecordsPerKey = 1 << 22

    /// `serverName` is for clients alone: the host name or IP literal that the certificate must bear (when the context has
    /// authorities, which makes it mandatory) and, unless it is a literal, that the server is told (SNI).
    /// `check` judges the peer. After `recordsPerKey` records the sending key is replaced (KeyUpdate).
    /// Throws `.misuse` for a name that cannot be verified, and `.environment`.
    package init(
        context: TLSContext, serverName: String?, recordsPerKey: Int = defaultRecordsPerKey, check: @escaping PeerCheck
    ) throws(TLSError) {
        guard recordsPerKey > 0 else { throw .misuse("a key must last for at least one record") }
        ErrorQueue.clear()
        let ssl = try Owned(SSL_new(context.handle.pointer), SSL_free, "making a tls connection")
        switch context.role {
        case .server:
            guard serverName == nil else { throw .misuse("a server expects no server name") }
            SSL_set_accept_state(ssl.pointer)
        case .client:
            SSL_set_connect_state(ssl.pointer)
            try expect(serverName: serverName, on: ssl.pointer, authorities: context.authorities)
        }
        guard let pipe = adit_pipe_connect(ssl.pointer) else {
            throw ErrorQueue.environment("making a tls connection")
        }

        self.context = context
        self.ssl = ssl
        self.pipe = pipe
        self.check = check
        self.recordsPerKey = recordsPerKey
        recordsLeft = recordsPerKey
        SSL_set_ex_data(self.ssl.pointer, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    // MARK: - Input

    /// Lends ciphertext to the engine. The memory must stay valid until `handshake` or `read` next reports `needsInput`,
    /// `closed` or an error, or `hasInput` is false; by then all of it is consumed, for OpenSSL keeps partial records itself. To
    /// feed again before that is misuse, which the next call throws. After the peer's close_notify or a failure, input is ignored.
    package func feed(_ ciphertext: UnsafeRawBufferPointer) {
        if case .failed = state { return }
        guard !ciphertext.isEmpty else { return }
        if !adit_pipe_feed(pipe, ciphertext.baseAddress, ciphertext.count) {
            state = .failed(.misuse("fed before the last input was consumed"))
        }
    }

    // MARK: - Handshake

    /// How far the handshake got.
    package enum Handshake: Sendable {
        /// Feed what the peer sends next, after sending what is in `pendingOutput`.
        case needsInput
        /// `peer` is known; `read` and `write` may be called. A server may still refuse a client: `read` then throws `.alert`.
        case established
    }

    /// Takes the handshake as far as the input goes. Throws `.peerRejected`, `.alert`, `.handshakeFailed` and `.environment`;
    /// an alert for the peer then waits in `pendingOutput`.
    package func handshake() throws(TLSError) -> Handshake {
        switch state {
        case .failed(let error): throw error
        case .open, .closing: return .established
        case .handshaking: break
        }
        ErrorQueue.clear()
        switch outcome(of: SSL_do_handshake(ssl.pointer)) {
        case .done:
            guard let candidate else { throw fail(.handshakeFailed("the peer presented no certificate")) }
            peer = candidate
            state = .open
            return .established
        case .needsInput:
            return .needsInput
        case .closed:
            throw fail(.alert("close notify"))
        case .failed(let error):
            throw fail(error)
        }
    }

    /// OpenSSL's question whether the certificate in `store`, an `X509_STORE_CTX`, will do.
    fileprivate func judge(_ store: OpaquePointer) -> Bool {
        // A server that ignores our protocol selects none, and OpenSSL would go on. Its choice came before its certificate.
        if context.role == .client, !selectedOurProtocol {
            refusal = .handshakeFailed("the peer does not speak \(context.alpn)")
            X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return false
        }
        guard let leaf = X509_STORE_CTX_get0_cert(store), let fingerprint = Fingerprint(certificate: leaf) else {
            refusal = .handshakeFailed("the peer's key cannot be read")
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED)
            return false
        }
        var presented = PeerCertificate(
            fingerprint: fingerprint, authorityVerdict: .notAsked, rotation: Rotation(certificate: leaf))
        do throws(TLSError) {
            var verdict = check(presented)
            if case .askAuthorities = verdict {
                presented.authorityVerdict = try authorityVerdict(store, context.authorities)
                verdict = check(presented)
            }
            switch verdict {
            case .accept:
                candidate = presented
                X509_STORE_CTX_set_error(store, X509_V_OK)
                return true
            case .reject(let reason): throw .peerRejected(reason: reason)
            case .askAuthorities: throw .misuse("a check that asks for the authorities' verdict again")
            }
        } catch {
            refusal = error
            // It decides which alert the peer gets: bad_certificate is about its key, internal_error is not.
            let code = if case .peerRejected = error { X509_V_ERR_CERT_REJECTED } else { X509_V_ERR_OUT_OF_MEM }
            X509_STORE_CTX_set_error(store, code)
            return false
        }
    }

    private var selectedOurProtocol: Bool {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl.pointer, &name, &count)
        return UnsafeBufferPointer(start: name, count: Int(count)).elementsEqual(context.alpn.utf8)
    }

    // MARK: - Plaintext

    /// What `read` found.
    package enum ReadResult: Sendable, Equatable {
        /// So many bytes, at least one, are in the buffer; there may be more.
        case bytes(Int)
        /// All input is consumed.
        case needsInput
        /// The peer sent close_notify: nothing more will come. That a connection ended without one is for the caller to notice.
        case closed
    }

    /// False if `read` would find that it needs input, which OpenSSL takes as long to say as to open a small record.
    package var hasInput: Bool { !adit_pipe_is_empty(pipe) }

    /// Opens at most one record (16 KiB) into `plaintext`, which must not be empty; what does not fit is kept for the next call.
    /// Answers to the peer (a key update) may appear in `pendingOutput`, or go with the next `write`. Throws `.alert`,
    /// `.recordFailed`, `.misuse` before the handshake is established, and `.environment`.
    package func read(into plaintext: UnsafeMutableRawBufferPointer) throws(TLSError) -> ReadResult {
        switch state {
        case .failed(let error): throw error
        case .handshaking: throw .misuse("read before the handshake was established")
        case .open, .closing: break
        }
        guard !plaintext.isEmpty else { throw .misuse("read into an empty buffer") }
        ErrorQueue.clear()
        var count = 0
        switch outcome(of: SSL_read_ex(ssl.pointer, plaintext.baseAddress, plaintext.count, &count)) {
        case .done:
            return .bytes(count)
        case .needsInput:
            return .needsInput
        case .closed:
            adit_pipe_discard_input(pipe)
            return .closed
        case .failed(let error):
            throw fail(error)
        }
    }

    /// Seals all of `plaintext` into `output`, which must have room for `sealedSize(plaintext.count)` and comes to hold what
    /// was pending first; the count of bytes produced. What does not fit, if anything (a key update takes room too), stays
    /// pending and belongs behind these bytes. Throws `.recordFailed`, `.misuse` outside an open connection, `.environment`.
    package func write(
        _ plaintext: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
    ) throws(TLSError) -> Int {
        switch state {
        case .failed(let error): throw error
        case .handshaking: throw .misuse("write before the handshake was established")
        case .closing: throw .misuse("write after close")
        case .open: break
        }
        guard output.count >= Self.sealedSize(plaintext.count) else { throw .misuse("too little room to write into") }
        try renewKey(before: Self.recordCount(plaintext.count))
        try finishPostHandshake()

        adit_pipe_set_region(pipe, output.baseAddress, output.count)
        defer { _ = adit_pipe_end_region(pipe) }
        if !plaintext.isEmpty {
            ErrorQueue.clear()
            var count = 0
            switch outcome(of: SSL_write_ex(ssl.pointer, plaintext.baseAddress, plaintext.count, &count)) {
            case .done where count == plaintext.count: break
            case .failed(let error): throw fail(error)
            case .done, .needsInput, .closed: throw fail(.environment("a write was cut short"))
            }
        }
        return adit_pipe_end_region(pipe)
    }

    /// The bytes that `plaintextBytes` bytes, zero or more, take as records.
    package static func sealedSize(_ plaintextBytes: Int) -> Int {
        plaintextBytes + recordCount(plaintextBytes) * recordOverhead
    }

    private static func recordCount(_ plaintextBytes: Int) -> Int {
        (plaintextBytes + recordLimit - 1) / recordLimit
    }

    private func renewKey(before records: Int) throws(TLSError) {
        if records > recordsLeft {
            ErrorQueue.clear()
            guard SSL_key_update(ssl.pointer, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 else {
                throw fail(ErrorQueue.environment("renewing the key"))
            }
            recordsLeft = recordsPerKey
        }
        // One write may have more records than the key was to last; it is renewed before the next.
        recordsLeft = max(0, recordsLeft - records)
    }

    /// Sends a key update that is due, and with it any alert, to the pending output: were it left to `SSL_write`, an error would
    /// leave half its output in the caller's memory.
    private func finishPostHandshake() throws(TLSError) {
        guard SSL_in_init(ssl.pointer) != 0 else { return }
        ErrorQueue.clear()
        switch outcome(of: SSL_do_handshake(ssl.pointer)) {
        case .done: break
        case .failed(let error): throw fail(error)
        // RFC 8446 §5.1 lets a peer spread a key update over several records, but nobody does, and OpenSSL cannot write in between.
        case .needsInput: throw fail(.recordFailed("the peer left a handshake message unfinished"))
        case .closed: throw fail(.recordFailed("the peer closed within a handshake message"))
        }
    }

    // MARK: - Output beside `write`

    /// Bytes that wait to be sent: handshake messages, alerts, key updates. Bounded at 256 KiB.
    package var pendingOutput: Int {
        adit_pipe_pending(pipe)
    }

    /// Moves as much of the pending output as fits into `output`; the count of bytes moved.
    package func drainOutput(into output: UnsafeMutableRawBufferPointer) -> Int {
        adit_pipe_drain(pipe, output.baseAddress, output.count)
    }

    /// Queues close_notify, once: nothing can be written after it, but the peer's bytes can still be read. Before the handshake is
    /// established and after a failure there is nobody to tell, and it does nothing.
    package func close() {
        guard case .open = state else { return }
        state = .closing
        ErrorQueue.clear()
        // 0 says that the peer's own close_notify has not come yet. A failure could only be lack of memory, at the very end.
        _ = SSL_shutdown(ssl.pointer)
        ErrorQueue.clear()
    }

    // MARK: - Return codes

    private enum Outcome {
        case done
        case needsInput
        case closed
        case failed(TLSError)
    }

    private func outcome(of result: Int32) -> Outcome {
        if result == 1 { return .done }
        let code = SSL_get_error(ssl.pointer, result)
        let errors = ErrorQueue.drain()
        switch code {
        case SSL_ERROR_WANT_READ: return .needsInput
        case SSL_ERROR_ZERO_RETURN: return .closed
        case SSL_ERROR_SSL: return .failed(refusal ?? meaning(of: errors))
        default:
            if adit_pipe_failed(pipe) { return .failed(.recordFailed("the peer provokes more answers than it takes")) }
            return .failed(.environment(errors.reason ?? "openssl stopped without a reason (\(code))"))
        }
    }

    private func meaning(of errors: ErrorQueue) -> TLSError {
        let reason = errors.reason ?? "protocol error"
        guard case .handshaking = state else {
            return errors.alert.map { .alert(Self.name(ofAlert: $0)) } ?? .recordFailed(reason)
        }
        if errors.alert == SSL_AD_PROTOCOL_VERSION
            || errors.contains(SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_WRONG_VERSION_NUMBER, SSL_R_WRONG_SSL_VERSION)
        {
            return .handshakeFailed("the peer does not speak TLS 1.3")
        }
        if let alert = errors.alert { return .alert(Self.name(ofAlert: alert)) }
        if errors.contains(SSL_R_HTTP_REQUEST) { return .handshakeFailed("the peer speaks HTTP, not TLS") }
        if errors.contains(SSL_R_NO_APPLICATION_PROTOCOL, SSL_R_CALLBACK_FAILED) {
            return .handshakeFailed("the peer does not speak \(context.alpn)")
        }
        return .handshakeFailed(reason)
    }

    private static func name(ofAlert alert: Int32) -> String {
        String(cString: SSL_alert_desc_string_long(alert))
    }

    private func fail(_ error: TLSError) -> TLSError {
        adit_pipe_discard_input(pipe)
        state = .failed(error)
        return error
    }
}

/// For `SSL_CTX_set_cert_verify_callback`: finds the connection that the question is about.
let judgePeer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> Int32 = { store, _ in
    guard let store,
        let ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()),
        let connection = SSL_get_ex_data(OpaquePointer(ssl), 0)
    else { return 0 }
    return Unmanaged<TLSConnection>.fromOpaque(connection).takeUnretainedValue().judge(store) ? 1 : 0
}

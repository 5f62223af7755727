import COpenSSL

/// Tells `ssl`, a client's, whom it means to talk to: the name goes into SNI, and into what `authorityVerdict` compares.
func expect(serverName: String?, on ssl: OpaquePointer, authorities: TLSContext.Authorities) throws(TLSError) {
    guard let serverName else {
        // Without a name any certificate of any authority would do.
        if case .none = authorities { return }
        throw .misuse("a client with certificate authorities needs a server name")
    }
    // `host.example.` names the same host; certificates leave the dot out.
    let name = serverName.utf8.last == UInt8(ascii: ".") ? String(serverName.dropLast()) : serverName
    guard !name.isEmpty, !name.utf8.contains(0) else {
        throw .misuse("not a server name: \(serverName.debugDescription)")
    }
    guard let parameters = SSL_get0_param(ssl) else { throw ErrorQueue.environment("setting the server name") }
    if X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1 { return }
    ErrorQueue.clear()
    X509_VERIFY_PARAM_set_hostflags(
        parameters, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT))
    guard X509_VERIFY_PARAM_set1_host(parameters, name, 0) == 1, adit_ssl_set_server_name(ssl, name) else {
        ErrorQueue.clear()
        throw .misuse("not a server name: \(serverName.debugDescription)")
    }
}

/// Verifies the chain in `store`, an `X509_STORE_CTX`, against these authorities and the expected name. Throws `.environment`
/// when the system's could not be asked.
func authorityVerdict(
    _ store: OpaquePointer, _ authorities: TLSContext.Authorities
) throws(TLSError) -> AuthorityVerdict {
    // A chain that fails may still be accepted for its fingerprint, so its errors must not stay behind in the queue.
    ERR_set_mark()
    defer { ERR_pop_to_mark() }
    var error: Int32 = 0
    switch authorities {
    case .none:
        return .failure("no certificate authorities are in use")
    case .system:
        let result = adit_verify_by_system_authorities(store, &error)
        guard result >= 0 else { throw .environment("the system's certificate authorities cannot be loaded now") }
        if result == 1 { return .genuine }
    case .file:
        if X509_verify_cert(store) == 1 { return .genuine }
        error = X509_STORE_CTX_get_error(store)
    }
    return .failure(String(cString: X509_verify_cert_error_string(Int(error))))
}

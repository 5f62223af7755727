import COpenSSL

/// A certificate (`X509`) that `key` (`EVP_PKEY`) signs for itself. It exists because TLS carries keys in certificates: peers judge
/// the key, so it holds no name that anybody relies on and never expires (RFC 5280 §4.1.2.5).
/// `rotation`, an `X509_EXTENSION`, says which keys it follows, if any.
/// Throws `.misuse` for a `commonName` that X.509 has no room for, and `.environment`.
func selfSignedCertificate(
    for key: OpaquePointer, commonName: String, rotation: OpaquePointer? = nil
) throws(TLSError) -> Owned {
    let certificate = try Owned(X509_new(), X509_free, "making a certificate")
    try setNames(of: certificate.pointer, to: commonName)
    try setSerialNumber(of: certificate.pointer)
    let dayBefore = -24 * 60 * 60  // peers' clocks differ from ours
    guard
        X509_set_version(certificate.pointer, Int(X509_VERSION_3)) == 1,
        X509_gmtime_adj(X509_getm_notBefore(certificate.pointer), dayBefore) != nil,
        ASN1_TIME_set_string_X509(X509_getm_notAfter(certificate.pointer), "99991231235959Z") == 1,
        X509_set_pubkey(certificate.pointer, key) == 1
    else { throw ErrorQueue.environment("making a certificate") }
    let constraints = try Owned(
        X509V3_EXT_conf_nid(nil, nil, NID_basic_constraints, "critical,CA:FALSE"),
        X509_EXTENSION_free, "making a certificate")
    guard
        X509_add_ext(certificate.pointer, constraints.pointer, -1) == 1,
        rotation == nil || X509_add_ext(certificate.pointer, rotation, -1) == 1,
        X509_sign(certificate.pointer, key, EVP_sha256()) > 0
    else { throw ErrorQueue.environment("signing a certificate") }
    return certificate
}

private func setNames(of certificate: OpaquePointer, to commonName: String) throws(TLSError) {
    let name = try Owned(X509_NAME_new(), X509_NAME_free, "naming a certificate")
    let bytes = Array(commonName.utf8)
    guard
        X509_NAME_add_entry_by_NID(
            name.pointer, NID_commonName, MBSTRING_UTF8, bytes, Int32(clamping: bytes.count), -1, 0) == 1
    else {
        ErrorQueue.clear()
        throw .misuse("a common name has 1 to 64 characters")
    }
    guard
        X509_set_subject_name(certificate, name.pointer) == 1,
        X509_set_issuer_name(certificate, name.pointer) == 1
    else { throw ErrorQueue.environment("naming a certificate") }
}

/// Random, so that two certificates of one name differ even for software that looks certificates up by issuer and number.
private func setSerialNumber(of certificate: OpaquePointer) throws(TLSError) {
    let bits: Int32 = 159  // RFC 5280 §4.1.2.2: positive and within 20 bytes
    let topBitsAsTheyCome: Int32 = -1
    let number = try Owned(BN_new(), BN_free, "numbering a certificate")
    guard
        BN_rand(number.pointer, bits, topBitsAsTheyCome, 0) == 1,
        BN_to_ASN1_INTEGER(number.pointer, X509_get_serialNumber(certificate)) != nil
    else { throw ErrorQueue.environment("numbering a certificate") }
}

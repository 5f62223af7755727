import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Tokens as somebody makes them who has openssl and no adit: well-formed JWTs (RFC 7515 §7.1) that say anything at all.
struct ForgedToken {
    var header = #"{"alg":"HS256","typ":"JWT"}"#
    var claims: String

    /// Claims with `iat` an hour ago and `exp` in an hour, but for what is given in seconds from now.
    init(subject: String, role: String? = nil, issuedAt: Int = -3600, expiresAt: Int = 3600, notBefore: Int? = nil) {
        let now = time(nil)
        var members = [#""sub":"\#(subject)""#, #""iat":\#(now + issuedAt)"#, #""exp":\#(now + expiresAt)"#]
        if let role { members.append(#""role":"\#(role)""#) }
        if let notBefore { members.append(#""nbf":\#(now + notBefore)"#) }
        claims = "{\(members.joined(separator: ","))}"
    }

    /// Signed by HMAC with SHA-256, whatever the header says.
    func signed(with secret: String, in site: Site) throws -> String {
        let signature = try site.openssl("dgst", "-sha256", "-hmac", secret, "-binary", input: unsigned)
        return "\(unsigned).\(base64URL(signature))"
    }

    /// Header and claims, without the full stop behind them.
    var unsigned: String {
        "\(base64URL(Array(header.utf8))).\(base64URL(Array(claims.utf8)))"
    }
}

/// RFC 4648 §5, without padding.
func base64URL(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    var text = ""
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start..<min(start + 3, bytes.count)]
        let bits = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
        for index in 0...group.count { text.append(alphabet[bits >> (18 - 6 * index) & 63]) }
    }
    return text
}

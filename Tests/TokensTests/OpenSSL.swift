import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The judge of these tests: tokens that the `openssl` program signed, so that nothing of ours decides what a right signature is.
enum OpenSSL {
    /// A token with this header and this payload, signed by HMAC with `digest`.
    static func token(
        header: String = #"{"alg":"HS256","typ":"JWT"}"#, payload: String, key: [UInt8], digest: String = "sha256"
    ) throws -> String {
        try token(header: Array(header.utf8), payload: Array(payload.utf8), key: key, digest: digest)
    }

    static func token(header: [UInt8], payload: [UInt8], key: [UInt8], digest: String = "sha256") throws -> String {
        let signed = "\(base64URL(header)).\(base64URL(payload))"
        return "\(signed).\(try hmac(of: signed, key: key, digest: digest))"
    }

    /// The HMAC of `text` in base64url. `text` goes through a shell: base64url and full stops only.
    static func hmac(of text: String, key: [UInt8], digest: String = "sha256") throws -> String {
        let hex = key.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        return try output(
            "printf %s '\(text)' | openssl dgst -\(digest) -mac HMAC -macopt hexkey:\(hex) -binary \(intoBase64URL)")
    }

    /// A new RSA key's public half as PEM, and a token that the private half signed (RS256).
    static func rsaToken(payload: String) throws -> (publicKey: [UInt8], token: String) {
        let signed = "\(base64URL(#"{"alg":"RS256","typ":"JWT"}"#.utf8)).\(base64URL(payload.utf8))"
        let script = """
            dir=$(mktemp -d) && trap 'rm -r "$dir"' EXIT && cd "$dir" &&
            openssl genrsa -out key 2048 2>/dev/null && openssl rsa -in key -pubout 2>/dev/null &&
            printf %s '\(signed)' | openssl dgst -sha256 -sign key -binary \(intoBase64URL)
            """
        let lines = try output(script).split(separator: "\n")
        let signature = try #require(lines.last)
        let publicKey = lines.dropLast().map { $0 + "\n" }.joined()
        #expect(publicKey.hasPrefix("-----BEGIN PUBLIC KEY-----\n"))
        return (Array(publicKey.utf8), "\(signed).\(signature)")
    }

    static func base64URL(_ bytes: some Sequence<UInt8>) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
        let bits = bytes.flatMap { byte in (0..<8).map { byte >> (7 - $0) & 1 } }
        return String(
            stride(from: 0, to: bits.count, by: 6).map { start in
                alphabet[(0..<6).reduce(0) { $0 << 1 | (start + $1 < bits.count ? Int(bits[start + $1]) : 0) }]
            })
    }

    private static let intoBase64URL = "| openssl base64 -A | tr '+/' '-_' | tr -d '='"

    private static func output(_ script: String) throws -> String {
        let pipe = try #require(popen(script, "r"))
        var bytes: [UInt8] = []
        while true {
            let byte = fgetc(pipe)
            guard byte != EOF else { break }
            bytes.append(UInt8(truncatingIfNeeded: byte))
        }
        try #require(pclose(pipe) == 0, "openssl failed")
        try #require(!bytes.isEmpty, "openssl said nothing")
        return String(decoding: bytes, as: UTF8.self)
    }
}

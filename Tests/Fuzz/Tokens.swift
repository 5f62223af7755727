import COpenSSL

@testable import Tokens

/// Tokens. The first byte decides who made it: somebody without the secret, whom no verifier believes; somebody who
/// changes a true token, likewise; or somebody with the secret, whose claims must be within their limits all the same.
func tokens(_ input: Input) {
    var input = input
    let mode = input.byte() % 3
    do throws(TokenError) {
        switch mode {
        case 0:
            let text = String(decoding: input.rest, as: UTF8.self)
            _ = try TokenFixture.verifier.verify(text, now: TokenFixture.now)
            expect(text == TokenFixture.token, "a token that nobody signed is believed: \(text)")
        case 1:
            var bytes = Array(TokenFixture.token.utf8)
            while !input.isEmpty {
                let place = input.integer(bytes: 2) % bytes.count
                bytes[place] = input.byte()
            }
            let text = String(decoding: bytes, as: UTF8.self)
            _ = try TokenFixture.verifier.verify(text, now: TokenFixture.now)
            expect(text == TokenFixture.token, "a token that was changed is believed: \(text)")
        default:
            let header = TokenFixture.base64(input.line())
            let text = "\(header).\(TokenFixture.base64(input.rest))"
            let signature = TokenFixture.sign(Array(text.utf8))
            let token = try TokenFixture.verifier.verify(
                "\(text).\(signature.withUnsafeBytes(TokenFixture.base64))", now: TokenFixture.now)
            judge(token.claims)
        }
    } catch {
        expect(!error.reason.contains("\n"), "a reason of two lines")
    }
}

private func judge(_ claims: Claims) {
    do {
        try claims.check()
    } catch {
        fail("claims beyond their limits: \(error)")
    }
    expect(claims.expiresAt > TokenFixture.now, "an expired token is believed")
    let begin = max(claims.issuedAt, claims.notBefore ?? 0)
    expect(begin - TokenVerifier.leewaySeconds <= TokenFixture.now, "a token of the future is believed")
    expect(!claims.subject.unicodeScalars.contains { $0.value < 0x20 }, "a subject of two lines")
}

enum TokenFixture {
    static let now: Int64 = 1_800_000_000
    private static let key = Array(repeating: UInt8(0x5a), count: TokenSecret.minimumBytes)
    static let verifier = TokenVerifier(keyring: Keyring(secret))
    static let secret: TokenSecret = {
        guard let secret = try? TokenSecret(key) else { fail("no secret") }
        return secret
    }()
    static let token: String = {
        let claims = Claims(
            subject: "laptop", issuedAt: now, expiresAt: now + 60, role: .client, allowedAgents: ["db-*"],
            allowedAddresses: ["localhost:5432"], tokenID: "1")
        guard let token = try? TokenIssuer(key: Keyring.Key(secret: secret)).issue(claims) else { fail("no token") }
        return token
    }()

    /// Not by libjwt, which is the one that is judged.
    static func sign(_ text: [UInt8]) -> [UInt8] {
        var signature = [UInt8](repeating: 0, count: 32)
        var count = 0
        let made = EVP_Q_mac(
            nil, "HMAC", nil, "SHA256", nil, key, key.count, text, text.count, &signature, signature.count, &count)
        expect(made != nil && count == 32, "no signature")
        return signature
    }

    static func base64(_ bytes: UnsafeRawBufferPointer) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".unicodeScalars)
        var text = String.UnicodeScalarView()
        var rest = bytes[...]
        while !rest.isEmpty {
            let group = rest.prefix(3)
            rest = rest.dropFirst(3)
            let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for place in 0...group.count { text.append(alphabet[Int(bits >> UInt32(18 - 6 * place) & 63)]) }
        }
        return String(text)
    }
}

/// A token taken apart (RFC 7515 §7.1) and found to be an HS256 token; whether its signature holds is not known here.
struct CompactToken {
    /// The text that was taken apart: base64url and two full stops, so that a C string holds all of it.
    let text: String
    let claims: JSONMembers
    /// `kid`, which says which secret is to verify it.
    let keyID: KeyID?

    /// Judges the header before any byte reaches libjwt, which accepts other algorithms with the same key, and names in either case.
    init(_ text: String) throws(TokenError) {
        let length = text.utf8.count
        guard length <= TokenVerifier.maximumTokenBytes else { throw .tokenTooLong(bytes: length) }
        // An array is stepped through faster than a string's view.
        let parts = Array(text.utf8).split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(parts[0]) else { throw .malformed }
        keyID = try Self.checkHeader(JSONMembers(header))
        guard let signature = Base64URL.decode(parts[2]), let claims = Base64URL.decode(parts[1]) else {
            throw .malformed
        }
        guard signature.count == Self.signatureBytes else { throw .badSignature }
        self.claims = try JSONMembers(claims)
        self.text = text
    }

    /// SHA-256's.
    private static let signatureBytes = 32

    /// RFC 8725 §3.1 and §3.11. Returns `kid`; unknown parameters are ignored.
    private static func checkHeader(_ header: JSONMembers) throws(TokenError) -> KeyID? {
        guard let text = header["alg"] else { throw .algorithmMissing }
        guard let algorithm = JSONText.string(text) else { throw .malformed }
        guard algorithm.utf8.elementsEqual("HS256".utf8) else { throw .algorithmRefused(AlgorithmName(algorithm)) }
        guard header["crit"] == nil else { throw .criticalExtension }
        if let text = header["typ"] {
            guard let type = JSONText.string(text), type.lowercased() == "jwt" else { throw .typeRefused }
        }
        guard let text = header["kid"] else { return nil }
        guard let name = JSONText.string(text) else { throw .malformed }
        guard let id = KeyID(name) else { throw .keyUnknown(nil) }
        return id
    }
}

/// RFC 4648 §5 without padding.
enum Base64URL {
    /// Nil where a character is foreign or missing, and where the bits left over at the end are not zero: bytes have one spelling.
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        // Once: to look up a static costs more than the rest of a round.
        let values = values
        var bits: UInt32 = 0
        var count = 0
        for character in text {
            let value = values[Int(character)]
            guard value < 64 else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 6
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
                bits &= (1 << UInt32(count)) - 1
            }
        }
        return count < 6 && bits == 0 ? bytes : nil
    }

    static func encode(_ bytes: [UInt8]) -> String {
        var text = String.UnicodeScalarView()
        var bits: UInt32 = 0
        var count = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            count += 8
            while count >= 6 {
                count -= 6
                text.append(character(bits >> UInt32(count)))
            }
        }
        if count > 0 { text.append(character(bits << UInt32(6 - count))) }
        return String(text)
    }

    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".unicodeScalars)

    private static func character(_ bits: UInt32) -> Unicode.Scalar { alphabet[Int(bits & 63)] }

    /// What each byte stands for; 64 for the foreign ones.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 64, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character.value)] = UInt8(value) }
        return values
    }()
}

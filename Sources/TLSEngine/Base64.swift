/// Base64 (RFC 4648 §4) of 32 bytes, without padding: 43 characters. Values of that length are all that the files and messages of
/// this module hold.
enum Base64 {
    static let byteCount = 32
    private static let characterCount = 43
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    private static let values: [UInt8: UInt8] = Dictionary(
        uniqueKeysWithValues: alphabet.enumerated().map { ($0.element, UInt8($0.offset)) })

    static func encode(_ bytes: [UInt8]) -> String {
        var text = ""
        var bits: UInt32 = 0
        var bitCount = 0
        for byte in bytes {
            bits = bits << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                text.unicodeScalars.append(character(bits >> UInt32(bitCount)))
            }
        }
        text.unicodeScalars.append(character(bits << UInt32(6 - bitCount)))
        return text
    }

    /// Reads what `encode` writes and nothing else: no padding, no blanks, no set bits beyond the last byte. Bytes have one
    /// spelling, so they may be compared as text wherever they are stored.
    static func decode(_ encoded: Substring.UTF8View) -> [UInt8]? {
        guard encoded.count == characterCount else { return nil }
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        for character in encoded {
            guard let value = values[character] else { return nil }
            bits = bits << 6 | UInt32(value)
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        guard bits & (1 << UInt32(bitCount) - 1) == 0 else { return nil }
        return bytes
    }

    private static func character(_ bits: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(alphabet[Int(bits & 0x3f)])
    }
}

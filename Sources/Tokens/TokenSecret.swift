/// The secret that signs and verifies tokens (HS256). Whoever holds it can make any token. Neither its description, its debug description nor
/// its mirror shows a byte of it.
package struct TokenSecret: Sendable, Equatable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    /// As many bytes as the hash has: RFC 7518 §3.2 asks for no fewer.
    package static let minimumBytes = 32
    /// Far beyond any use; a file named by mistake is noticed here.
    package static let maximumBytes = 4096

    private let bytes: [UInt8]

    /// Takes the secret's raw bytes.
    ///
    /// - Parameters:
    ///   - bytes: `minimumBytes` to `maximumBytes` of them.
    ///   - allowShort: Accepts a secret shorter than that, never an empty one.
    /// - Throws: `secretEmpty`, `secretTooShort` or `secretTooLong`.
    package init(_ bytes: [UInt8], allowShort: Bool = false) throws(TokenError) {
        guard !bytes.isEmpty else { throw .secretEmpty }
        guard allowShort || bytes.count >= Self.minimumBytes else { throw .secretTooShort(bytes: bytes.count) }
        guard bytes.count <= Self.maximumBytes else { throw .secretTooLong(bytes: bytes.count) }
        self.bytes = bytes
    }

    /// Lends the key to a C call. There is at least one byte: an empty key would turn libjwt's verification off.
    func withKey<Result>(_ body: (UnsafePointer<UInt8>, Int32) -> Result) -> Result? {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress, let count = Int32(exactly: buffer.count), count > 0 else { return nil }
            return unsafe body(base, count)
        }
    }

    /// In time that depends on the lengths alone.
    package static func == (one: TokenSecret, other: TokenSecret) -> Bool {
        guard one.bytes.count == other.bytes.count else { return false }
        return zip(one.bytes, other.bytes).reduce(0) { $0 | $1.0 ^ $1.1 } == 0
    }

    /// Says that there is a secret, and nothing about it.
    package var description: String { "<redacted>" }
    /// The same as `description`.
    package var debugDescription: String { description }
    /// Has no children, so that `dump` and reflection find nothing.
    package var customMirror: Mirror { Mirror(self, children: [:]) }
}

/// The constants that the protocol fixes; PROTOCOL.md names each. What an implementation may choose is with its module.
package enum Protocol {
    /// ALPN of the outer TLS, between a peer and the relay.
    package static let linkALPN = "adit/1"
    /// ALPN of the end-to-end TLS, between connect and agent.
    package static let sessionALPN = "adit-e2e/1"
    /// The version that hello messages carry. A peer that does not know it refuses with `unsupported_version`.
    package static let version = 1
    /// Bytes that may be sent on a fresh stream before credit comes (yamux).
    package static let initialWindow = 256 * 1024
    /// The most that a receiver lets a stream's window grow to, in bytes.
    package static let largestWindow = 16 * 1024 * 1024
    /// The most bytes of JSON in a control message or stream header.
    package static let largestMessage = 16 * 1024
}

package import NIOCore

/// An ordered byte pipe under a `SecureMux`, which may die: a TCP connection under a link, a tunnel stream under a
/// session. Whoever implements it hands what arrives to `SecureMux.receive` and reports the end to `carrierEnded`.
///
/// Loop-bound.
package protocol Carrier: AnyObject {
    /// Whether more may be written now without queueing beyond the carrier's high-water mark.
    var isWritable: Bool { get }
    /// Takes ciphertext; it leaves no later than the end of the running read cycle.
    func write(_ ciphertext: ByteBuffer)
    /// The mux measures a round trip from here to `roundTripEnded`: what the carrier's own windows must cover.
    func roundTripBegan()
    func roundTripEnded()
    /// Ends the carrier once what was written has left.
    func close()
}

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
    /// A round trip of the mux took so long: the carrier's own windows must cover it.
    func measured(roundTrip: TimeAmount)
    /// Ends the carrier once what was written has left.
    func close()
}

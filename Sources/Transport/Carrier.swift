package import NIOCore

/// An ordered byte pipe under a `SecureMux`, which may die: a TCP connection under a link, a tunnel stream under a
/// session. Whoever implements it hands what arrives to `SecureMux.receive` and reports the end to `carrierEnded`.
///
/// Loop-bound.
package protocol Carrier: AnyObject {
    /// Whether a little more may be written now.
    var isWritable: Bool { get }
    /// Whether a batch that is written now begins to leave at once. Where it is not, `carrierWritable` or, on a stream, its
    /// owner's `streamWritable` is called when it is.
    var hasRoom: Bool { get }
    /// Takes ciphertext; it leaves no later than the end of the running read cycle.
    func write(_ ciphertext: ByteBuffer)
    /// A round trip of the mux took so long: the carrier's own windows must cover it.
    func measured(roundTrip: TimeAmount)
    /// Ends the carrier once what was written has left.
    func close()
}

extension Carrier {
    package var hasRoom: Bool { isWritable }
}

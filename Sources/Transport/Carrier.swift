package import NIOCore

/// An ordered byte pipe under a `SecureMux`, which may die: a TCP connection under a link, a tunnel stream under a
/// session. Whoever implements it hands what arrives to `SecureMux.receive` and reports the end to `carrierEnded`.
///
/// Loop-bound.
package protocol Carrier: AnyObject {
    /// Whether a little more may be written now.
    var isWritable: Bool { get }
    /// Bytes of a batch that would leave at once; 0 also while it is somebody else's turn.
    var room: Int { get }
    /// Has `carrierWritable` called, or on a stream its owner's `streamWritable`, when there is room.
    func awaitRoom()
    /// Takes ciphertext; it leaves no later than the end of the running read cycle.
    func write(_ ciphertext: ByteBuffer)
    /// A stream of the mux has little to send: others on the carrier have short turns too (`TurnLength`).
    func shortenTurns()
    /// A round trip of the mux took so long: the carrier's own windows must cover it.
    func measured(roundTrip: TimeAmount)
    /// Ends the carrier once what was written has left.
    func close()
}

/// A carrier that sets no limit while it is writable, always tells when it is so again, and gives nobody turns.
extension Carrier {
    package var room: Int { isWritable ? .max : 0 }
    package func awaitRoom() {}
    package func shortenTurns() {}
}

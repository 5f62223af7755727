import NIOCore
import Wire

/// One half of a spliced tunnel: what arrives on a stream goes to its peer stream, on the same or another link, perhaps
/// of another event loop. No bytes are queued here: credit flows end to end (PROTOCOL §5).
struct Splice {
    let peer: MuxStream
    /// Credit that pays for bytes the relay itself sent on this stream (the offer), so not the peer's sender's.
    var ownCredit: Int
    /// Credit the peer's sender gets back once `ownCredit` is settled: for the bytes the relay itself consumed (the request).
    var settlement: Int
}

extension MuxStream {
    /// Joins two streams whose owners have nothing more to say. From now on this stream's delegate hears of its end only.
    ///
    /// - Parameters:
    ///   - sent: bytes the relay has sent on this stream so far; their credit is kept back.
    ///   - settlement: credit owed to the peer's sender, granted once the credit for `sent` has come.
    ///
    /// Call it on this stream's event loop, for each of the two.
    package func splice(to peer: MuxStream, sent: Int, settlement: Int) {
        eventLoop.assertInEventLoop()
        guard !isGone else { return peer.hop { $0.reset() } }
        var splice = Splice(peer: peer, ownCredit: sent, settlement: settlement)
        let credit = splice.credit(0)
        self.splice = splice
        if credit > 0 { peer.hop { $0.returnCredit(credit) } }
    }

    /// Runs `body` on the stream's event loop: at once if this is it.
    package func hop(_ body: @escaping @Sendable (MuxStream) -> Void) {
        if eventLoop.inEventLoop { body(self) } else { eventLoop.execute { body(self) } }
    }
}

extension Splice {
    /// What of `received` credit is the peer's.
    mutating func credit(_ received: Int) -> Int {
        let own = min(received, ownCredit)
        ownCredit -= own
        guard ownCredit == 0 else { return 0 }
        defer { settlement = 0 }
        return received - own + settlement
    }
}

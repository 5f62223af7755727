import NIOCore
import Wire

/// One half of a spliced tunnel: what arrives on a stream goes to its peer stream, on the same or another link, perhaps
/// of another event loop. No bytes are queued here: credit flows end to end (PROTOCOL §5).
package struct Splice {
    /// Whose turn it is to speak: connect sends nothing before the agent's answer (PROTOCOL §5).
    package enum Turn: Sendable {
        /// Data on this stream breaks the protocol, for now.
        case awaitsAnswer
        /// The first data on this stream is the answer that the peer stream awaits.
        case answers
        case free
    }

    let peer: MuxStream
    /// Credit that pays for bytes the relay itself sent on this stream (the offer), so not the peer's sender's.
    var ownCredit: Int
    /// Credit the peer's sender gets back once `ownCredit` is settled: for the bytes the relay itself consumed (the request).
    var settlement: Int
    var turn: Turn
}

extension MuxStream {
    /// Joins two streams whose owners have nothing more to say. From now on this stream's delegate hears of its end only.
    ///
    /// - Parameters:
    ///   - sent: bytes the relay has sent on this stream so far; their credit is kept back.
    ///   - settlement: credit owed to the peer's sender, granted once the credit for `sent` has come.
    ///
    /// Call it on this stream's event loop, for each of the two.
    package func splice(to peer: MuxStream, sent: Int = 0, settlement: Int = 0, turn: Splice.Turn) {
        eventLoop.assertInEventLoop()
        guard !isGone else { return peer.hop { $0.reset() } }
        splice = Splice(peer: peer, ownCredit: sent, settlement: settlement, turn: turn)
        mux?.passBackEarly(self, sent: sent)
        if peerHasFinished { peer.hop { $0.finish() } }
    }

    /// Lets this stream's sender send `count` bytes more, as the receiver at the far end allows.
    ///
    /// No more than the largest window is granted at once, whatever the far end says: what is granted may pile up here
    /// if that end then stops reading.
    func passOnCredit(_ count: Int) {
        creditBacklog += count
        mux?.grantBacklog(to: self)
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

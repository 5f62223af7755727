import DequeModule
import Mux
package import NIOCore
package import Wire

/// Who owns a stream's bytes. All calls come on the stream's event loop.
package protocol MuxStreamDelegate: AnyObject {
    /// Bytes, valid during the call. Call `consumed` once they have gone where they were going.
    func streamReceived(_ bytes: UnsafeRawBufferPointer)
    /// The peer sends no more (half-close). It may still read.
    func streamFinished()
    /// The stream is gone: reset by the peer, for breaking its rules, or with its session. Nothing follows.
    func streamReset(_ reason: String)
    /// There is room, for which the owner has waited (`awaitRoom`). It is this stream's turn for as long as the call
    /// lasts: who has something to write writes it now.
    func streamWritable()
}

/// A stream of a `SecureMux`, as its owner sees it: bytes in, bytes out, half-close, reset.
///
/// `@unchecked Sendable`: other event loops may hold the reference, and only to hop to `eventLoop`, where all its state
/// lives (`splice` does so).
package final class MuxStream: @unchecked Sendable {
    enum Outgoing {
        case open
        /// The FIN follows what is pending.
        case finishing
        case ended
    }

    /// Bytes that may be pending while `isWritable` is true.
    static let little = LoopContext.stagingSize
    /// How long a closed carrier's stream may linger half-open.
    static let closeGrace = TimeAmount.seconds(5)

    /// Its number within its mux.
    package let id: StreamID
    /// Where everything about it happens. It changes with its mux's, before the stream is spliced.
    package internal(set) var eventLoop: any EventLoop
    /// Nil once the stream is gone.
    private(set) var mux: SecureMux?
    /// Held until the stream is gone.
    package var delegate: (any MuxStreamDelegate)?
    var splice: Splice?
    /// The peer's half has ended; for a splice that comes after it.
    var peerHasFinished = false
    /// Credit for the stream's sender that waits until less is outstanding.
    var creditBacklog = 0

    var pending: Deque<ByteBuffer> = []
    private(set) var pendingBytes = 0
    var outgoing = Outgoing.open
    /// Little turns since the last that was longer, up to `TurnLength.proof`.
    var littleTurns = TurnLength.proof
    /// In the mux's list of streams that have something to send.
    var isReady = false
    /// The owner waits to be told of room.
    private(set) var awaitsRoom = false
    /// In the mux's list of streams whose owners are told next.
    var isInLine = false

    init(id: StreamID, mux: SecureMux) {
        self.id = id
        self.mux = mux
        eventLoop = mux.eventLoop
    }

    /// Reset, or ended in both directions: nothing can be sent, nothing will come.
    package var isGone: Bool { mux == nil }

    /// Whether the owner may write a little more now.
    package var isWritable: Bool { pendingBytes <= MuxStream.little }

    /// Bytes that leave at once if they are written now; 0 also while it is others' turn.
    package var room: Int { mux?.room(for: self) ?? 0 }

    /// Has the owner told, by `streamWritable`, when there is room and it is its turn.
    package func awaitRoom() {
        awaitsRoom = true
        mux?.joinLine(self)
    }

    /// Answers the peer's opening. Data may be sent before.
    package func accept() {
        mux?.accept(self)
    }

    /// Queues bytes; they leave as credit and the carrier allow, no sooner than the end of the read cycle.
    package func write(_ bytes: ByteBuffer) {
        eventLoop.assertInEventLoop()
        guard let mux, case .open = outgoing, bytes.readableBytes > 0 else { return }
        pending.append(bytes)
        pendingBytes += bytes.readableBytes
        mux.becameReady(self)
    }

    /// As `write`, for bytes that stay the caller's. A few of them share the next record with whatever else leaves in this
    /// read cycle, if nobody is ahead of them; otherwise they are copied and wait.
    package func write(copying bytes: UnsafeRawBufferPointer) {
        if pending.isEmpty, case .open = outgoing, mux?.sendAtOnce(bytes, on: self) == true { return }
        write(ByteBuffer(bytes: bytes))
    }

    /// Ends our half once what is pending has left.
    package func finish() {
        eventLoop.assertInEventLoop()
        guard let mux, case .open = outgoing else { return }
        outgoing = .finishing
        mux.becameReady(self)
    }

    /// Gives the stream up, in both directions, and forgets what is pending.
    package func reset() {
        eventLoop.assertInEventLoop()
        mux?.reset(self)
    }

    /// Returns the credit of `count` received bytes.
    package func consumed(_ count: Int) {
        mux?.consumed(self, count: count)
    }

    /// Sends a few bytes at once, ahead of what is pending and of what will be spliced. False beyond the stream's credit.
    package func writeNow(_ bytes: ByteBuffer) -> Bool {
        mux?.sendNow(bytes, on: self) ?? false
    }

    /// Returns the credit of `count` received bytes at once, in a frame of its own.
    package func returnCredit(_ count: Int) {
        mux?.grant(self, count: count)
    }

    /// Takes up to `count` bytes off the front of what is pending, from one buffer; whether that is used up.
    func takePending(_ count: Int) -> (payload: ByteBuffer, isLast: Bool)? {
        guard var first = pending.popFirst() else { return nil }
        guard let slice = first.readSlice(length: min(count, first.readableBytes)) else { return nil }
        let isLast = first.readableBytes == 0
        if !isLast { pending.prepend(first) }
        pendingBytes -= slice.readableBytes
        return (slice, isLast)
    }

    /// Tells an owner that waits for room.
    func tellOfRoom() {
        awaitsRoom = false
        delegate?.streamWritable()
    }

    /// The mux has let go of it; what was pending is forgotten.
    func detach() {
        mux = nil
        delegate = nil
        outgoing = .ended
        pending = []
        pendingBytes = 0
        splice = nil
    }
}

/// A tunnel stream carries a session.
extension MuxStream: Carrier {
    /// The session's round trip spans both links, the one that this stream's mux measures only its own.
    package func measured(roundTrip: TimeAmount) {
        mux?.session.measured(roundTrip: roundTrip.nanoseconds, carriedOn: id)
    }

    package func shortenTurns() {
        mux?.turnLength.shorten()
    }

    /// A peer that does not end its half in turn is not waited for.
    package func close() {
        finish()
        eventLoop.assumeIsolated().scheduleTask(in: MuxStream.closeGrace) { self.reset() }
    }
}

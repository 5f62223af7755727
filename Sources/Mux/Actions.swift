package import Wire

/// What the handler does about one received frame header.
package enum ReceiveAction: Equatable, Sendable {
    /// Nothing.
    case none
    /// Tell the stream's owner, in the order of the event's fields.
    case stream(StreamEvent)
    /// Drop this many payload bytes: they are for a stream that is gone.
    case discard(payload: Int)
    /// The stream broke its rules and is gone: send the reset, tell the owner if it has one, drop the payload.
    case reset(StreamID, StreamError, send: FrameHeader, discard: Int)
    /// Send this (the answer to a ping).
    case send(FrameHeader)
    /// Our ping of this value came back.
    case pong(UInt32)
    /// The peer takes no new streams; beyond `.normal`, it is about to end the session.
    case goAway(GoAwayCode)
}

/// What one frame means for its stream.
package struct StreamEvent: Equatable, Sendable {
    /// How the peer ended its half.
    package enum Ending: Equatable, Sendable {
        /// The peer sends no more (half-close).
        case finished
        /// The peer gave the stream up; it is gone.
        case reset
    }

    /// The stream.
    package var id: StreamID
    /// The peer has just opened it.
    package var opened = false
    /// Bytes of credit that have just come.
    package var credit = 0
    /// Bytes of payload that follow the header.
    package var payload = 0
    /// What holds once the payload has been delivered.
    package var ending: Ending?
}

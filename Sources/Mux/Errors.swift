package import Wire

/// The peer broke the protocol for the session as a whole: answer with a go-away and end it.
package enum SessionError: Error, Equatable, Sendable, CustomStringConvertible {
    case frame(FrameError)
    /// A stream ID of zero, or of the wrong parity, in a frame that opens a stream.
    case badStreamID(StreamID)
    /// A stream ID that is not above every one the peer opened before.
    case reusedStreamID(StreamID)
    /// A frame for a stream that nobody ever opened.
    case neverOpened(StreamID)
    /// A ping or go-away that names a stream, or has flags it cannot have.
    case malformedControlFrame(FrameHeader.Kind)
    case unknownGoAwayCode(UInt32)
    /// Credit that would take a send window past 2^32 - 1 bytes.
    case creditOverflow(StreamID)

    /// What to tell the peer.
    package var goAwayCode: GoAwayCode { .protocolError }

    package var description: String {
        switch self {
        case .frame(let error): error.description
        case .badStreamID(let id): "stream ID \(id) cannot be opened by this peer"
        case .reusedStreamID(let id): "stream ID \(id) was used before"
        case .neverOpened(let id): "frame for stream \(id), which was never opened"
        case .malformedControlFrame(let kind): "malformed \(kind) frame"
        case .unknownGoAwayCode(let code): "unknown go-away code \(code)"
        case .creditOverflow(let id): "credit overflow on stream \(id)"
        }
    }
}

/// The peer broke the protocol on one stream: that stream is reset, the others go on.
package enum StreamError: Error, Equatable, Sendable, CustomStringConvertible {
    case dataBeyondWindow
    case dataAfterFinish
    case tooManyStreams
    case tooManyUnaccepted

    package var description: String {
        switch self {
        case .dataBeyondWindow: "data beyond the window"
        case .dataAfterFinish: "data after the end of the stream"
        case .tooManyStreams: "too many streams"
        case .tooManyUnaccepted: "too many streams wait to be accepted"
        }
    }
}

/// Our own request cannot be met.
package enum OpenError: Error, Equatable, Sendable, CustomStringConvertible {
    /// A go-away was sent or received.
    case sessionEnding
    case tooManyStreams
    case streamIDsExhausted

    package var description: String {
        switch self {
        case .sessionEnding: "the session is ending"
        case .tooManyStreams: "too many streams"
        case .streamIDsExhausted: "stream IDs are exhausted"
        }
    }
}

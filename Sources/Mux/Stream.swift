import Wire

/// One stream's state, without its bytes.
///
///                 open() / SYN received
///                          │
///                        open ───────── finish ────────► localFinished
///                          │                                   │
///                     FIN received                        FIN received
///                          ▼                                   ▼
///                   remoteFinished ───── finish ────────►    (gone)
///
/// RST, sent or received, leads from every state to (gone). The acknowledgement of the opening runs beside this: it
/// bounds how many streams may wait to be accepted, and is not needed to send.
struct Stream {
    enum Halves {
        case open
        case localFinished
        case remoteFinished
    }

    enum Acknowledgement {
        /// We opened; the peer has not answered.
        case awaited
        /// The peer opened; we have not accepted.
        case owed
        case done
    }

    enum AfterFinish {
        case halfClosed
        case gone
    }

    private(set) var halves = Halves.open
    var acknowledgement: Acknowledgement
    /// Bytes we may send.
    private(set) var sendCredit = Protocol.initialWindow
    var receiveWindow = ReceiveWindow()

    init(acknowledgement: Acknowledgement) {
        self.acknowledgement = acknowledgement
    }

    var maySend: Bool { halves != .localFinished }

    mutating func receivedData(_ count: Int) throws(StreamError) {
        guard halves != .remoteFinished else { throw .dataAfterFinish }
        guard receiveWindow.take(count) else { throw .dataBeyondWindow }
    }

    /// False when the credit overflows what yamux can express.
    mutating func receivedCredit(_ count: Int) -> Bool {
        guard sendCredit + count <= Int(UInt32.max) else { return false }
        sendCredit += count
        return true
    }

    /// A second FIN is harmless: it says what is known.
    mutating func receivedFinish() -> AfterFinish {
        switch halves {
        case .open:
            halves = .remoteFinished
            return .halfClosed
        case .remoteFinished:
            return .halfClosed
        case .localFinished:
            return .gone
        }
    }

    mutating func finish() -> AfterFinish {
        switch halves {
        case .open:
            halves = .localFinished
            return .halfClosed
        case .localFinished:
            return .halfClosed
        case .remoteFinished:
            return .gone
        }
    }

    /// False when there is not that much credit, or our half has ended.
    mutating func take(_ count: Int) -> Bool {
        guard maySend, count <= sendCredit else { return false }
        sendCredit -= count
        return true
    }
}

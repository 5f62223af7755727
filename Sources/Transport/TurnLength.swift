import Wire

/// How many bytes a stream's turn may have: a batch, or a quarter of it while another stream of its mux has little to send,
/// which would wait for the turn, and for its work in every role that it passes.
///
/// With short turns the roles also work at the same time on what is in flight, where otherwise one has it all; but each
/// costs system calls and wake-ups, and who is alone with his bytes, or among others with as many, has long ones.
struct TurnLength {
    static let long = 256 * 1024
    static let short = 64 * 1024
    /// Little turns in a row after which a stream that had a longer one has little to send.
    static let proof = 64
    /// Turns are short for so many bytes after the last little one.
    static let memory = 64 * 1024 * 1024

    /// Bytes left of `memory`.
    private var left = 0
    /// The stream that had more than a little last.
    private var busy: StreamID?

    var bytes: Int { left > 0 ? TurnLength.short : TurnLength.long }

    /// Notes what `stream` sends in its turn; whether that makes another's turns short. Of a stream with much it may be
    /// little again and again while its credit is short; a new one is believed at once.
    mutating func note(_ count: Int, of stream: MuxStream) -> Bool {
        if count > MuxStream.little {
            busy = stream.id
            left = max(left - count, 0)
            stream.littleTurns = 0
            return false
        }
        guard stream.littleTurns == TurnLength.proof else {
            stream.littleTurns += 1
            return false
        }
        guard let busy, busy != stream.id else { return false }
        shorten()
        return true
    }

    /// It is gone: who comes next is not beside it.
    mutating func forget(_ stream: MuxStream) {
        if busy == stream.id { busy = nil }
    }

    /// What one stream brings is of several, and one of those has little to send.
    mutating func shorten() {
        left = TurnLength.memory
    }
}

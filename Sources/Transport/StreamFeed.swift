/// Lets a session ride on a stream: what the stream receives is the session's ciphertext.
///
/// The stream's credit goes back as soon as the session has taken the bytes apart: what may pile up behind a slow reader
/// is bounded by the windows inside the session, and must not hold up its other streams.
final class StreamFeed: MuxStreamDelegate {
    private let stream: MuxStream
    private let mux: SecureMux

    init(stream: MuxStream, mux: SecureMux) {
        self.stream = stream
        self.mux = mux
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        mux.receive(bytes)
        stream.consumed(bytes.count)
    }

    func streamFinished() {
        mux.carrierEnded("the other side closed the tunnel")
    }

    func streamReset(_ reason: String) {
        mux.carrierEnded("tunnel: \(reason)")
    }

    func streamWritable() {
        mux.flush()
    }
}

extension SecureMux {
    /// Begins the handshake over a stream of another mux, on the same event loop, and takes that stream over.
    package func start(over stream: MuxStream) {
        stream.delegate = StreamFeed(stream: stream, mux: self)
        start(on: stream)
    }
}

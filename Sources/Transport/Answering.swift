import NIOCore
package import Wire

/// What nearly every answer is: encoded once.
private let acceptance = Result { ByteBuffer(bytes: try Message.encode(Answer<Accepted>.accepted(Accepted()))) }

extension MuxStream {
    /// Answers yes, with no more to say.
    package func answerAccepted() {
        do {
            write(try acceptance.get())
        } catch {
            reset()
        }
    }

    /// Sends an answer, the first message on the stream in this direction. Resets the stream if it cannot be encoded.
    package func answer<Body>(_ answer: Answer<Body>) {
        do throws(MessageError) {
            write(ByteBuffer(bytes: try Message.encode(answer)))
        } catch {
            reset()
        }
    }

    /// Refuses what the peer asked for: the reason, then the end of our half. What the peer still sends is dropped; it
    /// resets the stream when it has read the refusal.
    package func refuse(_ refusal: Refusal) {
        guard !isGone else { return }
        delegate = Refused(stream: self)
        answer(Answer<Accepted>.refused(refusal))
        finish()
    }
}

/// The owner of a refused stream, until it is gone.
private final class Refused: MuxStreamDelegate {
    private let stream: MuxStream

    init(stream: MuxStream) {
        self.stream = stream
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {}

    func streamFinished() {}

    func streamReset(_ reason: String) {}

    func streamWritable() {}
}

import Mux
import Wire

/// Reads the one message that opens a stream, then hands the stream on.
///
/// `onMessage` gets the message's JSON, and is followed by the bytes that came right behind it, which go to whoever is
/// the stream's delegate by then.
package final class HeaderReader: MuxStreamDelegate {
    private let stream: MuxStream
    private var buffer = MessageBuffer()
    private var isOverdue = false
    private let onMessage: (_ json: [UInt8], _ byteCount: Int) -> Void
    private let onFailure: (_ reason: String) -> Void
    private let onWritable: () -> Void

    /// - Parameters:
    ///   - onMessage: the JSON, and how many bytes the message took on the wire. It must set another delegate or reset
    ///     the stream, and it settles the credit of those bytes.
    ///   - onFailure: the stream ended before, or its message is too large; the stream has been reset.
    ///   - onWritable: the stream has room, for whoever writes to it meanwhile.
    package init(
        _ stream: MuxStream,
        onMessage: @escaping (_ json: [UInt8], _ byteCount: Int) -> Void,
        onFailure: @escaping (_ reason: String) -> Void,
        onWritable: @escaping () -> Void = {}
    ) {
        self.stream = stream
        self.onMessage = onMessage
        self.onFailure = onFailure
        self.onWritable = onWritable
    }

    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        do throws(MessageError) {
            let (consumed, json) = try buffer.take(bytes)
            guard let json else { return }
            onMessage(json, json.count + 2)
            let rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(consumed))
            guard !rest.isEmpty, !stream.isGone else { return }
            guard let next = stream.delegate, next !== self else {
                return fail("data behind a message that has no owner")
            }
            next.streamReceived(rest)
        } catch {
            fail(error.description)
        }
    }

    package func streamFinished() {
        fail("the stream ended before its header")
    }

    package func streamReset(_ reason: String) {
        onFailure(reason)
    }

    package func streamWritable() {
        onWritable()
    }

    /// Called at intervals; the header must have come before the second time.
    fileprivate func tick() {
        if isOverdue { fail("no header in time") }
        isOverdue = true
    }

    private func fail(_ reason: String) {
        stream.reset()
        onFailure(reason)
    }
}

extension SecureMux {
    /// Ends the streams that were waiting for their header when this was last called: each may hold one back, and there
    /// may be thousands. Call it at intervals.
    package func endOverdueHeaders() {
        for stream in streams.values { (stream.delegate as? HeaderReader)?.tick() }
    }
}

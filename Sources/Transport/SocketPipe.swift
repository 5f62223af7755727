import DequeModule
package import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Joins a forwarded connection's TCP socket with its stream, in both directions, for as long as either lives. Whichever
/// comes first waits for the other.
///
/// - Credit goes back when the socket has taken the bytes, never on receipt: a reader that stops holds up its own
///   stream and nothing else.
/// - The end of one direction (FIN) passes to the other side as just that; a reset passes as a reset (RST).
///
///     open ──FIN of the socket──► socketFinished ──FIN of the stream──► finished
///       └────FIN of the stream──► streamFinished ──FIN of the socket──────┘
///
/// Loop-bound: the socket must live on the stream's event loop.
package final class SocketPipe: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private enum Halves {
        case open
        case socketFinished
        case streamFinished
        case finished
    }

    private let loop: LoopContext
    private var stream: MuxStream?
    private var context: ChannelHandlerContext?
    private var halves = Halves.open
    /// The socket's output is shut: everything the stream brought has left.
    private var isOutputShut = false
    /// From the stream, before there was a socket; bounded by the stream's window.
    private var early = ByteBuffer()
    /// From the socket, before there was a stream: NIO delivers what came before a FIN whether it is read or not.
    private var held: Deque<ByteBuffer> = []
    /// Written to the socket's channel and not flushed yet.
    private var unflushed = 0
    /// Flushed, and still on their way into the socket.
    private var blocked = 0
    private var isDirty = false
    private var isReadingPaused = false
    /// The socket is gone.
    private let onEnd: () -> Void

    /// Call it on `eventLoop`. `onEnd` is called at most once.
    package init(eventLoop: any EventLoop, onEnd: @escaping () -> Void = {}) {
        loop = LoopContext.of(eventLoop)
        self.onEnd = onEnd
    }

    /// Takes over what `stream` brings, and sends it what the socket has brought so far.
    package func join(_ stream: MuxStream) {
        self.stream = stream
        stream.delegate = self
        sendHeld()
    }

    /// As `join`, for a stream whose first bytes are still somebody else's; who then makes the pipe its delegate and
    /// calls `streamWritable`.
    package func send(to stream: MuxStream) {
        self.stream = stream
        sendHeld()
    }

    private func sendHeld() {
        while let bytes = held.popFirst() { stream?.write(bytes) }
        switch halves {
        case .socketFinished, .finished: stream?.finish()
        case .open, .streamFinished: break
        }
    }

    /// Adds the pipe to a channel that has read nothing yet.
    package func attach(to channel: any Channel) throws {
        try channel.pipeline.syncOperations.addHandler(self)
    }

    /// Has the channel read or not; it does unless told.
    package func pauseReading(_ paused: Bool) {
        guard paused != isReadingPaused, let context else { return }
        isReadingPaused = paused
        try? context.channel.syncOptions?.setOption(.autoRead, value: !paused)
    }

    // MARK: Socket to stream

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if early.readableBytes > 0 { write(early) }
        early = ByteBuffer()
        becomeDirty()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = compact(unwrapInboundIn(data))
        guard let stream else { return held.append(bytes) }
        stream.write(bytes)
        if !stream.isWritable { pauseReading(true) }
    }

    /// A few bytes do not hold the large buffer that they were read into.
    private func compact(_ bytes: ByteBuffer) -> ByteBuffer {
        guard bytes.readableBytes <= LoopContext.stagingSize else { return bytes }
        defer { loop.giveBack(read: bytes) }
        return bytes.withUnsafeReadableBytes { ByteBuffer(bytes: $0) }
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            socketFinished()
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func socketFinished() {
        switch halves {
        case .open: halves = .socketFinished
        case .streamFinished: halves = .finished
        case .socketFinished, .finished: return
        }
        stream?.finish()
        finishSocketIfDrained()
    }

    // MARK: Ends

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        stream?.reset()
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        // With our half shut, NIO turns the socket's FIN into this; a reset or an error has come to `errorCaught` before.
        if isOutputShut { socketFinished() }
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        // Whatever did not end in good order by now is reset.
        if halves != .finished { stream?.reset() }
        stream = nil
        held = []
        onEnd()
    }

    /// Ends the socket with a reset, as a direct connection's peer would have.
    package func abort() {
        guard let context else { return }
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
    }

    /// A full close or a half-close would discard what NIO still holds: only once everything has left.
    private func finishSocketIfDrained() {
        guard unflushed == 0, blocked == 0, let context else { return }
        switch halves {
        case .open, .socketFinished: break
        case .finished: context.close(promise: nil)
        case .streamFinished:
            guard !isOutputShut else { return }
            isOutputShut = true
            context.close(mode: .output, promise: nil)
        }
    }
}

// MARK: - Stream to socket

extension SocketPipe: MuxStreamDelegate {
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        guard context != nil else {
            early.writeBytes(bytes)
            return
        }
        write(ByteBuffer(bytes: bytes))
        becomeDirty()
    }

    package func streamFinished() {
        switch halves {
        case .open: halves = .streamFinished
        case .socketFinished: halves = .finished
        case .streamFinished, .finished: return
        }
        becomeDirty()
    }

    package func streamReset(_ reason: String) {
        switch halves {
        case .open, .socketFinished:
            abort()
        case .streamFinished, .finished:
            // All that the other side had to say has come, and still goes out; what we would say has no taker.
            halves = .finished
            becomeDirty()
        }
    }

    package func streamWritable() {
        pauseReading(false)
    }

    private func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        guard blocked > 0 else {
            unflushed += bytes.readableBytes
            return context.write(wrapOutboundOut(bytes), promise: nil)
        }
        // The socket is full: this buffer's own completion returns its credit.
        let count = bytes.readableBytes
        blocked += count
        context.write(wrapOutboundOut(bytes)).assumeIsolated().whenSuccess { self.unblocked(count) }
    }

    private func becomeDirty() {
        guard !isDirty else { return }
        isDirty = true
        loop.willFlush(self)
    }

    private func unblocked(_ count: Int) {
        blocked -= count
        stream?.consumed(count)
        finishSocketIfDrained()
    }
}

extension SocketPipe: Flushable {
    func flush() {
        isDirty = false
        guard let context else { return }
        context.flush()
        let flushed = unflushed
        unflushed = 0
        guard flushed > 0 else { return finishSocketIfDrained() }
        let buffered = (try? context.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        if blocked == 0, buffered == 0 {
            stream?.consumed(flushed)
            finishSocketIfDrained()
        } else {
            // An empty write completes when everything before it has.
            blocked += flushed
            context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated()
                .whenSuccess { self.unblocked(flushed) }
        }
    }
}

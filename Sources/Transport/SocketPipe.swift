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

/// Joins a forwarded connection's TCP socket with its stream, in both directions, for as long as either lives.
///
/// - Credit goes back when the socket has taken the bytes, never on receipt: a reader that stops holds up its own
///   stream and nothing else.
/// - The end of one direction (FIN) passes to the other side as just that; a reset passes as a reset (RST).
///
/// Loop-bound: the socket must live on the stream's event loop.
package final class SocketPipe: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    private let stream: MuxStream
    private let loop: LoopContext
    private var context: ChannelHandlerContext?
    /// Received before there was a socket to write to; bounded by the stream's window.
    private var early: Deque<ByteBuffer> = []
    /// Written to the socket's channel and not flushed yet.
    private var unflushed = 0
    /// Flushed, and still on their way into the socket.
    private var blocked = 0
    private var isDirty = false
    private var isReadingPaused = false
    private var streamHasFinished = false
    private var socketHasFinished = false
    private var isOutputClosed = false
    /// Why the connection ended, for whoever logs it.
    package var onEnd: ((String?) -> Void)?

    /// Takes the stream over. `received` bytes that came with its header go to the socket first. Call on its event loop.
    package init(stream: MuxStream) {
        self.stream = stream
        loop = LoopContext.of(stream.eventLoop)
        stream.delegate = self
    }

    /// Joins the socket of `channel`, which must live on the same event loop and not read yet.
    package func attach(to channel: any Channel) {
        do {
            try channel.pipeline.syncOperations.addHandler(self)
            try channel.syncOptions?.setOption(.autoRead, value: true)
        } catch {
            stream.reset()
            channel.close(promise: nil)
        }
    }

    // MARK: Socket to stream

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        if stream.isGone { return abort() }
        guard !early.isEmpty || streamHasFinished else { return }
        while let bytes = early.popFirst() { write(bytes) }
        becomeDirty()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        stream.write(unwrapInboundIn(data))
        if !stream.isWritable { pauseReading(true) }
    }

    package func channelReadComplete(context: ChannelHandlerContext) {
        loop.endCycle()
    }

    package func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            socketHasFinished = true
            stream.finish()
            closeIfDone()
            loop.endCycle()
        }
        context.fireUserInboundEventTriggered(event)
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(Link.reason(of: error))
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        // With our half closed, NIO turns the socket's FIN into this; a reset or an error has come to `errorCaught` before.
        if isOutputClosed, !socketHasFinished {
            socketHasFinished = true
            stream.finish()
        }
        end(nil)
        loop.endCycle()
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    private func pauseReading(_ paused: Bool) {
        guard paused != isReadingPaused, let context else { return }
        isReadingPaused = paused
        try? context.channel.syncOptions?.setOption(.autoRead, value: !paused)
    }

    // MARK: Ends

    /// Both directions have ended and all bytes are where they belong.
    private func closeIfDone() {
        guard socketHasFinished, streamHasFinished, unflushed == 0, blocked == 0 else { return }
        context?.close(promise: nil)
    }

    /// The socket is gone: if the stream has not ended in good order by now, it is reset.
    private func end(_ reason: String?) {
        if !(socketHasFinished && streamHasFinished) { stream.reset() }
        early = []
        let onEnd = onEnd
        self.onEnd = nil
        onEnd?(reason)
    }

    /// Ends the socket with a reset, as a direct connection's peer would have.
    package func abort() {
        early = []
        guard let context else { return }
        _ = (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
        context.close(promise: nil)
    }
}

// MARK: - Stream to socket

extension SocketPipe: MuxStreamDelegate {
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        let copy = ByteBuffer(bytes: bytes)
        guard context != nil else { return early.append(copy) }
        write(copy)
        becomeDirty()
    }

    package func streamFinished() {
        streamHasFinished = true
        becomeDirty()
    }

    package func streamReset(_ reason: String) {
        abort()
    }

    package func streamWritable() {
        pauseReading(false)
    }

    private func write(_ bytes: ByteBuffer) {
        guard let context else { return }
        unflushed += bytes.readableBytes
        guard blocked > 0 else { return context.write(wrapOutboundOut(bytes), promise: nil) }
        // The socket is full: this buffer's own completion returns its credit.
        let count = bytes.readableBytes
        unflushed -= count
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
        stream.consumed(count)
        finishSocketIfDrained()
    }

    /// A full close or a half-close would discard what NIO still holds: only once everything has left.
    private func finishSocketIfDrained() {
        guard streamHasFinished, unflushed == 0, blocked == 0, let context else { return }
        if socketHasFinished { return closeIfDone() }
        guard !isOutputClosed else { return }
        isOutputClosed = true
        context.close(mode: .output, promise: nil)
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
            stream.consumed(flushed)
            finishSocketIfDrained()
        } else {
            // An empty write completes when everything before it has.
            blocked += flushed
            context.writeAndFlush(wrapOutboundOut(ByteBuffer())).assumeIsolated()
                .whenSuccess { self.unblocked(flushed) }
        }
    }
}

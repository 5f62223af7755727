import CPoller
package import NIOCore

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
/// - The end of one direction (FIN) passes to the other side as just that; a reset passes as a reset (RST), and ahead of what
///   waits for credit.
///
///     open ──FIN of the socket──► socketFinished ──FIN of the stream──► finished
///       └────FIN of the stream──► streamFinished ──FIN of the socket──────┘
///
/// Loop-bound, to the stream's event loop.
package final class SocketPipe {
    private enum Halves {
        case open
        case socketFinished
        case streamFinished
        case finished
    }

    private let loop: LoopContext
    private var stream: MuxStream?
    /// Non-blocking, and ours to close.
    private var socket: (descriptor: CInt, membership: SocketPoller.Membership)?
    private var halves = Halves.open
    /// The socket's output is shut: everything the stream brought has left.
    private var isOutputShut = false
    /// From the stream, for a socket that is not there yet or is full; bounded by the stream's window.
    private var blocked = ByteBuffer()
    /// What the poller tells: input, unless it is not read yet and more has come all the same, and room for output, if the
    /// socket was full.
    private var watched: Readiness = .input

    /// There may be input that was not read.
    private var hasInput = true
    /// Only a read that finds nothing has found everything.
    private var isPiecemeal = false
    /// The poller has said so, once.
    private var isBroken = false
    /// The socket is gone.
    private let onEnd: (SocketPipe) -> Void

    /// Call it on `eventLoop`. `onEnd` is called at most once.
    package init(eventLoop: any EventLoop, onEnd: @escaping (SocketPipe) -> Void = { _ in }) {
        loop = LoopContext.of(eventLoop)
        self.onEnd = onEnd
    }

    /// Makes what all pipes of an event loop share, which otherwise the first one does: better that a role which cannot have
    /// it does not start. Throws `IOError`.
    package static func prepare(on eventLoop: any EventLoop) async throws {
        try await eventLoop.submit { _ = try LoopContext.of(eventLoop).poller() }.get()
    }

    /// Takes over what `stream` brings, and sends it what the socket brings.
    package func join(_ stream: MuxStream) {
        send(to: stream)
        stream.delegate = self
    }

    /// As `join`, for a stream whose first bytes are still somebody else's. He passes on what `streamWritable` tells,
    /// and then makes the pipe its delegate.
    package func send(to stream: MuxStream) {
        self.stream = stream
        read()
    }

    /// Takes over a socket that is connected, non-blocking, and nobody else's. Throws `IOError` when it cannot be watched;
    /// it has been closed then.
    package func attach(_ descriptor: CInt) throws {
        do {
            socket = (descriptor, try loop.poller().add(descriptor, owner: self))
        } catch {
            close(descriptor)
            throw error
        }
        let early = blocked
        blocked = ByteBuffer()
        if early.readableBytes > 0 { early.withUnsafeReadableBytes { streamReceived($0) } }
        finishSocketIfDrained()
    }

    /// Ends the socket with a reset, as a direct connection's peer would have.
    package func abort() {
        guard let descriptor = socket?.descriptor else { return }
        Socket.resetWhenClosed(descriptor)
        end()
    }

    /// Closes the socket and lets go of the stream. What did not end in good order by now is reset.
    private func end() {
        guard let (descriptor, membership) = socket else { return }
        socket = nil
        loop.socketPoller?.remove(membership)
        close(descriptor)
        blocked = ByteBuffer()
        let stream = stream
        self.stream = nil
        if halves != .finished { stream?.reset() }
        onEnd(self)
    }
}

// MARK: - Socket to stream

extension SocketPipe: Polled {
    func ready(_ what: Readiness) {
        if what.contains(.input) {
            // Each wake-up for a socket that waits for its turn anyway is one for nothing.
            if hasInput, !mayRead { watchInput(false) }
            hasInput = true
        }
        if what.contains(.piecemeal) { isPiecemeal = true }
        if what.contains(.output) { writeBlocked() }
        if what.contains(.broken) { isBroken = true }
        read()
    }

    func pollerEnded() {
        abort()
    }

    /// Whoever asks the poller anew is told at once what there is: room for output only if somebody waits for it.
    private func watchInput(_ isWanted: Bool) {
        guard watched.contains(.input) != isWanted else { return }
        var what: Readiness = isWanted ? .input : []
        if blocked.readableBytes > 0 { what.insert(.output) }
        watch(for: what)
    }

    private func watch(for what: Readiness) {
        guard what != watched, let membership = socket?.membership else { return }
        watched = what
        loop.socketPoller?.watch(membership, for: what)
    }

    /// The stream is there, has room, and was not told of the input's end.
    private var mayRead: Bool {
        guard let stream, !stream.awaitsRoom, !stream.isGone else { return false }
        return !inputHasEnded
    }

    private var inputHasEnded: Bool {
        switch halves {
        case .open, .streamFinished: false
        case .socketFinished, .finished: true
        }
    }

    /// What there is, until the stream has more than a little to send: then it is told when to go on.
    private func read() {
        while hasInput, mayRead, let descriptor = socket?.descriptor, let stream { read(from: descriptor, to: stream) }
        if !hasInput, !inputHasEnded { watchInput(true) }
        // What is broken says so to whoever reads it, but not behind an end in good order, and nobody may be about to read.
        if isBroken, !mayRead { end() }
    }

    private func read(from descriptor: CInt, to stream: MuxStream) {
        var buffer = loop.takeRead()
        var received = 0
        let most = min(max(stream.room, MuxStream.little), BufferPool.readSize)
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: 0) { memory in
            received = adit_socket_receive(descriptor, memory.baseAddress, most)
            return max(received, 0)
        }
        guard received > 0 else {
            loop.giveBack(buffer)
            return noneReceived(error: CInt(-received))
        }
        hasInput = isPiecemeal || received == most
        if received <= LoopContext.stagingSize {
            // A few bytes do not hold the large buffer that they were read into.
            buffer.withUnsafeReadableBytes { stream.write(copying: $0) }
            loop.giveBack(buffer)
        } else {
            stream.write(buffer)
        }
        if !stream.isWritable { stream.awaitRoom() }
    }

    private func noneReceived(error: CInt) {
        hasInput = false
        switch error {
        case 0: socketFinished()
        case EAGAIN, EWOULDBLOCK: break
        default: end()
        }
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
}

// MARK: - Stream to socket

extension SocketPipe: MuxStreamDelegate {
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        guard let descriptor = socket?.descriptor, blocked.readableBytes == 0 else { return hold(bytes) }
        let sent = adit_socket_send(descriptor, bytes.baseAddress, bytes.count)
        guard sent >= 0 || sent == -Int(EAGAIN) else { return end() }
        if sent > 0 { stream?.consumed(sent) }
        guard sent < bytes.count, socket != nil else { return }
        hold(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(max(sent, 0))))
        watch(for: watched.union(.output))
    }

    private func hold(_ bytes: UnsafeRawBufferPointer) {
        if blocked.readerIndex > blocked.readableBytes { blocked.discardReadBytes() }
        blocked.writeBytes(bytes)
    }

    package func streamFinished() {
        switch halves {
        case .open: halves = .streamFinished
        case .socketFinished: halves = .finished
        case .streamFinished, .finished: return
        }
        finishSocketIfDrained()
    }

    package func streamReset(_ reason: String) {
        switch halves {
        case .open, .socketFinished:
            abort()
        case .streamFinished, .finished:
            // All that the other side had to say has come, and still goes out; what we would say has no taker.
            halves = .finished
            finishSocketIfDrained()
        }
    }

    package func streamWritable() {
        read()
    }

    private func writeBlocked() {
        guard blocked.readableBytes > 0, let descriptor = socket?.descriptor else { return }
        let sent = blocked.withUnsafeReadableBytes { adit_socket_send(descriptor, $0.baseAddress, $0.count) }
        // That the connection is broken is said once: a read would find an end in good order.
        guard sent >= 0 || sent == -Int(EAGAIN) else { return end() }
        guard sent > 0 else { return }
        blocked.moveReaderIndex(forwardBy: sent)
        if blocked.readableBytes == 0 { blocked = ByteBuffer() }
        stream?.consumed(sent)
        finishSocketIfDrained()
    }

    /// Only once everything has left: who closes or shuts a socket must have nothing more to give it.
    private func finishSocketIfDrained() {
        guard blocked.readableBytes == 0, let descriptor = socket?.descriptor else { return }
        switch halves {
        case .open, .socketFinished: break
        case .finished: end()
        case .streamFinished:
            guard !isOutputShut else { return }
            isOutputShut = true
            shutdown(descriptor, CInt(SHUT_WR))
        }
    }
}

import CPoller
import DequeModule
package import NIOCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

extension Link: Carrier {
    package var isWritable: Bool { unsent.isEmpty && context?.channel.isWritable ?? false }

    package func write(_ ciphertext: ByteBuffer) {
        guard context != nil else { return }
        if !unsent.isEmpty {
            if !unsent.append(ciphertext) { mux.loop.giveBack(ciphertext) }
        } else if buffered > 0 {
            handOver(ciphertext)
        } else {
            send(ciphertext)
        }
        seeToFullness()
    }

    /// Past NIO, whose way to the socket takes as long again as the system call does for a few bytes.
    private func send(_ ciphertext: ByteBuffer) {
        guard let socket = openSocket else { return handOver(ciphertext) }
        var rest = ciphertext
        do {
            if try rest.send(to: socket) { return mux.loop.giveBack(rest) }
        } catch {
            return failed(error) { handOver(rest) }
        }
        guard isLong else { return handOver(rest) }
        pause = shortestPause
        unsent.append(rest)
        scheduleRetry()
    }

    /// NIO meets the error too, and reads what the peer said last before it closes; but the socket says only once that it was
    /// reset. Of a broken pipe the peer's last words say more.
    private func failed(_ error: any Error, handOver: () -> Void) {
        let before = failure
        if (error as? IOError)?.errnoCode != EPIPE { failure = Link.reason(of: error) }
        handOver()
        if context?.channel.isActive == true { failure = before }
    }

    /// From now on NIO waits until the socket takes it.
    private func handOver(_ batch: ByteBuffer) {
        keepInNIO(batch)
        context?.flush()
    }

    /// Of a few bytes NIO keeps a copy, or each pong for a peer that does not read would hold a large buffer.
    private func keepInNIO(_ batch: ByteBuffer) {
        guard let context else { return }
        hasHandedOver = true
        let loop = mux.loop
        guard batch.readableBytes >= BufferPool.leastSealed else {
            context.write(wrapOutboundOut(ByteBuffer(bytes: batch.readableBytesView)), promise: nil)
            return loop.giveBack(batch)
        }
        // A large one comes back: memory that is new to the process costs a fault for each page.
        let left = context.eventLoop.makePromise(of: Void.self)
        left.futureResult.assumeIsolated().whenComplete { _ in loop.giveBack(batch) }
        context.write(wrapOutboundOut(batch), promise: left)
    }

    /// Bytes that NIO holds for the socket; 0 for one that is closed.
    var buffered: Int {
        guard hasHandedOver else { return 0 }
        let count = (try? context?.channel.syncOptions?.getOption(.bufferedWritableBytes)) ?? 0
        hasHandedOver = count > 0
        return count
    }

    /// Tells the mux that there is room again; keeps the books while there is none.
    func seeToFullness() {
        guard let context else { return }
        if isWritable {
            guard isFull else { return }
            isFull = false
            limits.backlogs?.forget(context.channel)
            mux.carrierWritable()
        } else {
            isFull = true
            let waiting = unsent.bytes + buffered
            limits.backlogs?.note(waiting, on: context.channel)
            guard waiting > limits.bufferedBytes else { return }
            failure = "it does not take what it let others send"
            context.close(promise: nil)
        }
    }

    /// The kernel sizes a TCP connection's windows.
    package func measured(roundTrip: TimeAmount) {}

    /// A full close throws away what NIO has not written yet, so it waits for that, but not for ever.
    package func close() {
        guard let context else { return }
        handOverUnsent()
        let channel = context.channel
        let grace = context.eventLoop.scheduleTask(in: .seconds(5)) { channel.close(promise: nil) }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer())).whenComplete { _ in
            grace.cancel()
            channel.close(promise: nil)
        }
    }
}

// MARK: - Long links

/// Linux tells of room in a full socket when a third of it is free (`sk_stream_is_writeable`). Where a socket holds no more
/// than is on the way in one round trip, that third is what the link lacks. So what the socket of a long link did not take
/// is tried again after a fraction of a round trip. A link on which that brings little is too slow to be in need of
/// it, and in the end it is left to NIO.
extension Link {
    /// Below that the kernel tells soon enough.
    private static let leastRoundTrip = TimeAmount.milliseconds(8)
    private static let triesPerRoundTrip: Int64 = 16
    /// What is measured may be the stop of a host: nothing that is much longer than any path.
    private static let longestRoundTrip = TimeAmount.milliseconds(500)
    /// A try that brings less than so many bytes came too soon.
    private static let leastTaken = 32 * 1024

    private var isLong: Bool { mux.roundTrip >= Link.leastRoundTrip }
    private var roundTrip: TimeAmount { min(mux.roundTrip, Link.longestRoundTrip) }
    private var shortestPause: TimeAmount { .nanoseconds(roundTrip.nanoseconds / Link.triesPerRoundTrip) }

    private func scheduleRetry() {
        context?.eventLoop.assumeIsolated().scheduleTask(in: pause) { [weak self] in self?.retry() }
    }

    private func retry() {
        guard !unsent.isEmpty else { return }
        pause = pause * 2
        if isLong, pause <= roundTrip { sendUnsent() } else { handOverUnsent() }
        seeToFullness()
    }

    private func sendUnsent() {
        guard let socket = openSocket else { return handOverUnsent() }
        let before = unsent.bytes
        do {
            try unsent.send(to: socket) { mux.loop.giveBack($0) }
        } catch {
            return failed(error) { handOverUnsent() }
        }
        if before - unsent.bytes >= Link.leastTaken { pause = shortestPause }
        if !unsent.isEmpty { scheduleRetry() }
    }

    private func handOverUnsent() {
        guard !unsent.isEmpty else { return }
        for batch in unsent.takeAll() { keepInNIO(batch) }
        context?.flush()
    }
}

/// Batches that wait for a socket, in order.
struct Unsent {
    private var batches: Deque<ByteBuffer> = []
    private(set) var bytes = 0

    var isEmpty: Bool { bytes == 0 }

    /// False if it was copied, and is still the caller's: a small one goes behind the one before it, for each costs a
    /// system call, and holds more memory than its bytes.
    @discardableResult
    mutating func append(_ batch: ByteBuffer) -> Bool {
        bytes += batch.readableBytes
        if batch.readableBytes <= LoopContext.stagingSize, let room = batches.last?.writableBytes,
            room >= batch.readableBytes
        {
            batches[batches.count - 1].writeImmutableBuffer(batch)
            return false
        }
        batches.append(batch)
        return true
    }

    /// Sends what the socket takes; `done` is given each batch that has left. Throws `IOError`.
    mutating func send(to socket: CInt, done: (ByteBuffer) -> Void) throws {
        while !batches.isEmpty {
            let before = batches[0].readableBytes
            let isAll = try batches[0].send(to: socket)
            bytes -= before - batches[0].readableBytes
            guard isAll else { return }
            done(batches.removeFirst())
        }
    }

    mutating func takeAll() -> Deque<ByteBuffer> {
        defer { self = Unsent() }
        return batches
    }
}

extension ByteBuffer {
    /// Sends of the readable bytes what the socket takes; whether that is all. Throws `IOError`.
    fileprivate mutating func send(to socket: CInt) throws -> Bool {
        let sent = withUnsafeReadableBytes { adit_socket_send(socket, $0.baseAddress, $0.count) }
        guard sent >= 0 else {
            guard sent == -Int(EAGAIN) else { throw IOError(errnoCode: CInt(-sent), reason: "write") }
            return false
        }
        moveReaderIndex(forwardBy: sent)
        return readableBytes == 0
    }
}

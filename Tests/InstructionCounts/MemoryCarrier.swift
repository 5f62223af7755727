import NIOCore
import Transport

/// One direction of a link without a socket. What is written stays here until it is delivered, copied as a kernel
/// would, so that the sender has its buffer back.
///
/// It has no high-water mark: the streams' windows bound what piles up. There is room for that from the start: whether a
/// buffer that grows is copied depends on what lies behind it in the heap.
final class MemoryCarrier: Carrier {
    /// What a link reads at once.
    private static let largestRead = 256 * 1024

    private let receiver: SecureMux
    private var queue = ByteBufferAllocator().buffer(capacity: 4 * largestRead)

    init(to receiver: SecureMux) {
        self.receiver = receiver
    }

    var isWritable: Bool { true }

    func write(_ ciphertext: ByteBuffer) {
        precondition(queue.writableBytes >= ciphertext.readableBytes)
        queue.writeImmutableBuffer(ciphertext)
    }

    /// Hands on what one read would find; false when there is nothing.
    func deliver() -> Bool {
        guard queue.readableBytes > 0 else { return false }
        let count = min(queue.readableBytes, MemoryCarrier.largestRead)
        queue.withUnsafeReadableBytes { receiver.receive(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
        queue.moveReaderIndex(forwardBy: count)
        if queue.readableBytes == 0 { queue.clear() }
        return true
    }

    func measured(roundTrip: TimeAmount) {}

    func close() {}
}

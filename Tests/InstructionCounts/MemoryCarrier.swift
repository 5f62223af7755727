import NIOCore
import Transport

/// One direction of a link without a socket. What is written stays here until it is delivered, copied as a kernel
/// would, so that the sender has its buffer back.
///
/// It has no high-water mark: the streams' windows bound what piles up.
final class MemoryCarrier: Carrier {
    /// What a link reads at once.
    private static let largestRead = 256 * 1024

    private let receiver: SecureMux
    private var queue = ByteBuffer()

    init(to receiver: SecureMux) {
        self.receiver = receiver
    }

    var isWritable: Bool { true }

    func write(_ ciphertext: ByteBuffer) {
        queue.writeImmutableBuffer(ciphertext)
    }

    /// Hands on what one read would find; false when there is nothing.
    func deliver() -> Bool {
        guard let read = queue.readSlice(length: min(queue.readableBytes, MemoryCarrier.largestRead)) else {
            return false
        }
        guard read.readableBytes > 0 else { return false }
        if queue.readableBytes == 0 { queue = ByteBuffer() }
        read.withUnsafeReadableBytes { receiver.receive($0) }
        return true
    }

    func measured(roundTrip: TimeAmount) {}

    func close() {}
}

import DequeModule
import NIOCore

/// What an event loop keeps of the buffers for reads and batches that it had out: memory new to the process costs a fault
/// for each page (Docs/PERFORMANCE.md). As many are kept as were out at a time, until they have not been needed for a while.
struct BufferPool {
    /// What one read may bring: large enough that it empties what a fast sender has queued; see Docs/PERFORMANCE.md.
    static let readSize = 256 * 1024
    /// What a buffer for ciphertext holds at least: two records.
    static let leastSealed = 32 * 1024
    /// The largest buffer that is kept, in bytes; a full batch has grown to that.
    static let largest = 2 * readSize
    /// What an event loop keeps at most, in bytes.
    static let mostKept = 256 * 1024 * 1024
    /// What it lets go at a time at most: each buffer takes a system call, while nobody is served.
    static let mostLetGo = 64 * 1024 * 1024

    private var sealed: Deque<ByteBuffer> = []
    private var reads: Deque<ByteBuffer> = []
    /// Bytes of memory in both, and the least of it since some were let go.
    private(set) var kept = 0 { didSet { leastKept = min(leastKept, kept) } }
    private var leastKept = 0

    /// A buffer for ciphertext, which may grow to a batch.
    mutating func takeSealed() -> ByteBuffer {
        guard var buffer = sealed.popLast() ?? reads.popLast() else {
            return ByteBufferAllocator().buffer(capacity: BufferPool.leastSealed)
        }
        lend(&buffer)
        return buffer
    }

    /// A buffer of `readSize` to read into.
    mutating func takeRead() -> ByteBuffer {
        guard var buffer = reads.popLast() else { return ByteBufferAllocator().buffer(capacity: BufferPool.readSize) }
        lend(&buffer)
        return buffer
    }

    private mutating func lend(_ buffer: inout ByteBuffer) {
        kept -= buffer.storageCapacity
        buffer.clear()
    }

    /// Takes back what was lent. What is too small to come from here is not kept.
    mutating func giveBack(_ buffer: consuming ByteBuffer) {
        let capacity = buffer.storageCapacity
        guard BufferPool.leastSealed...BufferPool.largest ~= capacity, kept + capacity <= BufferPool.mostKept
        else {
            return
        }
        kept += capacity
        // Which a batch may have grown to.
        if capacity == BufferPool.readSize { reads.append(buffer) } else { sealed.append(buffer) }
    }

    /// Lets go of what was not needed since the last time.
    mutating func letGoOfUnneeded() {
        letGo(atMost: leastKept)
    }

    /// Lets go of the oldest; of batches first, because buffers for reads serve as these too.
    mutating func letGo(atMost bytes: Int = .max) {
        let wanted = kept - min(kept, bytes, BufferPool.mostLetGo)
        while kept > wanted, let buffer = sealed.popFirst() ?? reads.popFirst() { kept -= buffer.storageCapacity }
        leastKept = kept
    }
}

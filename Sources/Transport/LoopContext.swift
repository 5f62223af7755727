import DequeModule
import NIOCore
import NIOPosix
import Synchronization
import Wire

/// What has bytes to hand on at the end of a read cycle.
protocol Flushable: AnyObject {
    func flush()
}

/// What the links of one event loop share: scratch memory, and the list of those with something to flush.
///
/// Idle links hold no buffers because all of them decrypt into the same scratch memory, and flushes are gathered so that
/// a read cycle ends in one write per link, however many frames went there, if they do not fill a batch.
///
/// `@unchecked Sendable`: each lives in a variable of its event loop's thread, and only that thread can reach it.
final class LoopContext: @unchecked Sendable {
    private static let current = ThreadSpecificVariable<LoopContext>()

    /// Plaintext decrypted at once; a multiple of the TLS record size.
    static let scratchSize = 16 * 16 * 1024 + FrameHeader.size
    /// Small frames gathered into one TLS record.
    static let stagingSize = 16 * 1024

    /// How often an event loop that keeps more than a little looks for memory that it has not needed since. After one to two of
    /// these without a full buffer it lets go of all, `BufferPool.mostLetGo` at a time. The turns of one of a thousand busy
    /// processes of a small machine are a second apart.
    static let rest = TimeAmount.seconds(2)
    /// Staging buffers that it keeps without looking.
    static let fewStaged = 32

    private static let restAwaited = Atomic(0)

    /// Whether an event loop of this process awaits rest: it has had a full buffer within the last two to four seconds, or more
    /// than a little memory to let go of.
    static var anyAwaitsRest: Bool { restAwaited.load(ordering: .relaxed) > 0 }

    /// What windows of the event loop's sessions may grow by together, in bytes.
    static let windowBudget = 256 * 1024 * 1024

    /// What is left of that.
    var spareWindow = LoopContext.windowBudget
    private let eventLoop: any EventLoop
    /// The read cycle that runs or comes next.
    private(set) var cycle: UInt64 = 1
    private var dirty: Deque<any Flushable> = []
    private var isDrainScheduled = false
    /// How many muxes are taking apart what they received.
    var receiving = 0
    private var full: [SecureMux] = []
    private var scratch: [UnsafeMutableRawBufferPointer] = []
    private(set) var staging: [UnsafeMutableRawBufferPointer] = []
    private(set) var buffers = BufferPool()
    /// Those that came back with more than a ping.
    private var fullBuffers: UInt64 = 0
    private(set) var isRestAwaited = false {
        didSet { LoopContext.restAwaited.add(isRestAwaited ? 1 : -1, ordering: .relaxed) }
    }
    /// Nil before `poller` was called.
    private(set) var socketPoller: SocketPoller?

    private init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
    }

    deinit {
        if isRestAwaited { LoopContext.restAwaited.subtract(1, ordering: .relaxed) }
        for buffer in scratch + staging { buffer.deallocate() }
    }

    /// The context of this thread; nil before its event loop has asked for one.
    static var ofThread: LoopContext? { current.currentValue }

    /// The context of the event loop that calls.
    static func of(_ eventLoop: any EventLoop) -> LoopContext {
        eventLoop.assertInEventLoop()
        if let context = current.currentValue { return context }
        let context = LoopContext(eventLoop)
        current.currentValue = context
        return context
    }

    /// What watches the sockets of the event loop's forwards. Throws `IOError`.
    func poller() throws -> SocketPoller {
        if let socketPoller, !socketPoller.hasEnded { return socketPoller }
        let made = try SocketPoller(on: eventLoop)
        socketPoller = made
        return made
    }

    // MARK: Memory, lent

    func takeScratch() -> UnsafeMutableRawBufferPointer {
        scratch.popLast() ?? .allocate(byteCount: LoopContext.scratchSize, alignment: 16)
    }

    func giveBack(scratch buffer: UnsafeMutableRawBufferPointer) {
        scratch.append(buffer)
    }

    func takeStaging() -> UnsafeMutableRawBufferPointer {
        staging.popLast() ?? .allocate(byteCount: LoopContext.stagingSize, alignment: 16)
    }

    func giveBack(staging buffer: UnsafeMutableRawBufferPointer) {
        staging.append(buffer)
        if keepsMuch { awaitRest() }
    }

    /// A buffer for ciphertext, which may grow to a batch.
    func takeSealed() -> ByteBuffer { buffers.takeSealed() }

    /// A buffer of `BufferPool.readSize` to read into.
    func takeRead() -> ByteBuffer { buffers.takeRead() }

    /// Takes back what `takeRead` or `takeSealed` gave, from the last who holds it but for NIO, which lets go when the
    /// read or write returns.
    func giveBack(_ buffer: consuming ByteBuffer) {
        let isFull = buffer.writerIndex >= BufferPool.leastSealed
        if isFull { fullBuffers &+= 1 }
        buffers.giveBack(buffer)
        if isFull || keepsMuch { awaitRest() }
    }

    private var keepsMuch: Bool { buffers.kept > BufferPool.largest || staging.count > LoopContext.fewStaged }

    private func awaitRest() {
        guard !isRestAwaited else { return }
        isRestAwaited = true
        lookForRest()
    }

    /// Lets go of what was not needed, and of all that is kept once the event loop has come to rest.
    private func lookForRest() {
        let seen = fullBuffers
        eventLoop.assumeIsolated().scheduleTask(in: LoopContext.rest) {
            guard self.fullBuffers == seen else {
                self.buffers.letGoOfUnneeded()
                self.letGo(of: &self.staging, but: LoopContext.fewStaged)
                return self.lookForRest()
            }
            self.buffers.letGo()
            guard self.buffers.kept == 0 else { return self.lookForRest() }
            self.letGo(of: &self.staging, but: 0)
            self.letGo(of: &self.scratch, but: 0)
            self.isRestAwaited = false
        }
    }

    private func letGo(of memory: inout [UnsafeMutableRawBufferPointer], but few: Int) {
        while memory.count > few { memory.removeLast().deallocate() }
    }

    // MARK: Read cycles

    /// Sees to it that `flushable` is flushed once, at the end of the running cycle.
    func willFlush(_ flushable: any Flushable) {
        dirty.append(flushable)
        guard !isDrainScheduled else { return }
        isDrainScheduled = true
        eventLoop.assumeIsolated().execute { self.endCycle() }
    }

    /// Has the batch of `mux`, which is full, sent when what a link has read is taken apart: by the end of a read cycle with
    /// many links it would be megabytes, new to the process each time.
    func willSend(_ mux: SecureMux) {
        full.append(mux)
    }

    /// Sends the batches that are full, unless one is being received: where a write fails NIO reads what that link still
    /// has, and nobody can receive twice at a time.
    func sendFull() {
        guard receiving == 0 else { return }
        while let next = full.popLast() { next.sendSealed() }
    }

    /// Flushes all that became dirty. What a flush dirties in turn (a session dirties its link) follows in the same call.
    func endCycle() {
        sendFull()
        while let next = dirty.popFirst() { next.flush() }
        isDrainScheduled = false
        cycle &+= 1
    }

    /// Runs `body` in the next turn, when the event loop has looked at its channels and sockets again.
    func inNextTurn(_ body: @escaping () -> Void) {
        // Not a task, if there are sockets: those that tasks leave behind run before the event loop looks at its channels.
        guard let socketPoller, !socketPoller.hasEnded else { return eventLoop.assumeIsolated().execute(body) }
        socketPoller.inNextTurn(body)
    }
}

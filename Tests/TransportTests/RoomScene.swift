import Mux
import NIOCore
import TLSEngine
import Testing
import Wire

@testable import Transport

/// What RoomTests are about: the near ends' streams have `Source`s, the far ends' `Sink`s.
///
/// `@unchecked Sendable`: touched on the event loop, and by the test while that rests (`settle`).
final class RoomScene: @unchecked Sendable {
    let nearCarrier = MemoryCarrier()
    private let farCarrier = MemoryCarrier()
    /// The carriers' muxes, and those whose streams the test is about: the same, or a session's.
    private var link: (near: SecureMux, far: SecureMux)?
    private var near: SecureMux?
    private(set) var sinks: [Sink] = []
    /// Whether what arrives is consumed at once.
    var consumes = true
    /// Bytes that were written in each read cycle.
    private var cycles: [UInt64: Int] = [:]
    private let eventLoop: any EventLoop

    init(on eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    var received: Int { sinks.reduce(0) { $0 + $1.received } }
    var mostInACycle: Int { cycles.values.max() ?? 0 }

    func begin(inSession: Bool) throws {
        try onLoop { _ in
            let near = try self.mux(.dialer)
            let far = try self.mux(.acceptor)
            near.delegate = Owner()
            far.delegate = Owner(onOpened: { stream in
                stream.accept()
                if inSession { self.beginSession(over: stream) } else { self.take(stream) }
            })
            self.nearCarrier.receiver = far
            self.farCarrier.receiver = near
            self.link = (near, far)
            self.near = near
            near.start(on: self.nearCarrier)
            far.start(on: self.farCarrier)
        }
        try deliverAll()
        guard inSession else { return }
        try onLoop { _ in
            guard let stream = try self.link?.near.open() else { return }
            let near = try self.mux(.dialer)
            near.delegate = Owner()
            near.start(over: stream)
            self.near = near
        }
        try deliverAll()
    }

    private func beginSession(over stream: MuxStream) {
        guard let mux = try? mux(.acceptor) else { return stream.reset() }
        mux.delegate = Owner(onOpened: {
            $0.accept()
            self.take($0)
        })
        mux.start(over: stream)
    }

    private func take(_ stream: MuxStream) {
        let sink = Sink(stream, self)
        stream.delegate = sink
        sinks.append(sink)
    }

    private func mux(_ role: Session.Role) throws -> SecureMux {
        let identity = try Identity.generate(commonName: "somebody")
        let context = try TLSContext(
            role: role == .dialer ? .client : .server, identity: identity, alpn: Protocol.linkALPN)
        return SecureMux(
            role: role, tls: try TLSConnection(context: context, serverName: nil, check: { _ in .accept }),
            limits: Limits(), eventLoop: eventLoop)
    }

    /// From now on the carrier takes a batch at a time.
    func narrow() { nearCarrier.narrowFor = link?.near }

    func shortenTurns() {
        link?.near.turnLength.shorten()
        near?.turnLength.shorten()
    }

    func makeRoom() {
        nearCarrier.room = .max
        link?.near.carrierWritable()
    }

    /// One stream for each, whose owners wait for room.
    func sources(_ names: String...) throws -> [Source] {
        try onLoop { _ in
            guard let near = self.near else { return [] }
            return try names.map { name in
                let source = Source(name, try near.open(), self)
                source.stream.delegate = source
                source.stream.awaitRoom()
                return source
            }
        }
    }

    func wrote(_ count: Int) {
        cycles[LoopContext.of(eventLoop).cycle, default: 0] += count
    }

    func onLoop<Value: Sendable>(_ body: @escaping @Sendable (any EventLoop) throws -> Value) throws -> Value {
        let eventLoop = eventLoop
        return try eventLoop.submit { try body(eventLoop) }.wait()
    }

    /// Delivers what there is, turn by turn, until `isDone`, or until there is nothing more.
    func deliverAll(until isDone: @escaping @Sendable () -> Bool = { false }) throws {
        while try !onLoop({ _ in isDone() }), try deliver() {}
    }

    /// Delivers what is under way, and waits until the event loop has come to rest. False when there was nothing.
    func deliver() throws -> Bool {
        try settle()
        let hasDelivered = try onLoop { _ in [self.nearCarrier, self.farCarrier].count { $0.deliver() } > 0 }
        try settle()
        return hasDelivered
    }

    /// What is due in the next turn dirties a mux, which is flushed by a task after that.
    private func settle() throws {
        var cycle: UInt64 = 0
        var unchanged = 0
        var looks = 0
        while unchanged < 3 {
            looks += 1
            try #require(looks < 10_000, "it does not come to rest")
            let now = try onLoop { LoopContext.of($0).cycle }
            unchanged = now == cycle ? unchanged + 1 : 0
            cycle = now
        }
    }
}

/// Whenever it is told, it writes what its credit allows, up to a batch; if it is modest, 10,000 bytes of that; if it is greedy,
/// 50,000 bytes, or a little where there is less room, until it may not have more pending.
final class Source: MuxStreamDelegate, @unchecked Sendable {
    static let batch = 256 * 1024

    let stream: MuxStream
    private var isSilent: Bool { name.hasPrefix("silent") }
    private var isGreedy: Bool { name.hasPrefix("greedy") }
    private var isModest: Bool { name.hasPrefix("modest") }
    private(set) var written = 0
    /// Bytes that it was told to write at once, at most.
    private(set) var longestTurn = 0
    private let name: String
    private let scene: RoomScene

    init(_ name: String, _ stream: MuxStream, _ scene: RoomScene) {
        self.name = name
        self.stream = stream
        self.scene = scene
    }

    func forgetTurns() { longestTurn = 0 }

    /// What it wrote could leave, as far as its credit goes.
    var waitsForTurn: Bool {
        stream.pendingBytes > 0 && stream.mux.map { $0.session.sendCredit(stream.id) > 0 } ?? false
    }

    func streamWritable() {
        guard !isSilent else { return }
        repeat {
            let most = isModest ? 10_000 : isGreedy ? 50_000 : Source.batch
            let count = min(isGreedy ? max(stream.room, MuxStream.little) : stream.room, most)
            #expect(count > 0)
            longestTurn = max(longestTurn, count)
            scene.wrote(count)
            written += count
            stream.write(ByteBuffer(repeating: 7, count: count))
        } while isGreedy && stream.isWritable
        stream.awaitRoom()
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {}
    func streamFinished() {}
    func streamReset(_ reason: String) {}
}

final class Sink: MuxStreamDelegate {
    private(set) var received = 0
    private var owed = 0
    private let stream: MuxStream
    private let scene: RoomScene

    init(_ stream: MuxStream, _ scene: RoomScene) {
        self.stream = stream
        self.scene = scene
    }

    func consume() {
        stream.consumed(owed)
        owed = 0
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        owed += bytes.count
        if scene.consumes { consume() }
    }

    func streamFinished() {}
    func streamReset(_ reason: String) {}
    func streamWritable() {}
}

/// One direction of a link without a socket.
final class MemoryCarrier: Carrier {
    var receiver: SecureMux?
    var room = Int.max
    /// Who is to be told when it is empty again, if it takes nothing more until then.
    var narrowFor: SecureMux?
    private var queue = ByteBuffer()

    var isWritable: Bool { narrowFor == nil || room > 0 }

    func write(_ ciphertext: ByteBuffer) {
        queue.writeImmutableBuffer(ciphertext)
        if narrowFor != nil { room = 0 }
    }

    /// False when there was nothing to deliver.
    func deliver() -> Bool {
        let bytes = queue
        guard bytes.readableBytes > 0 else { return false }
        queue = ByteBuffer()
        bytes.withUnsafeReadableBytes { receiver?.receive($0) }
        if let narrowFor {
            room = .max
            narrowFor.carrierWritable()
        }
        return true
    }

    func measured(roundTrip: TimeAmount) {}
    func close() {}
}

import Mux
import NIOCore
import NIOPosix
import TLSEngine
import Testing
import Wire

@testable import Transport

/// When the owners of streams are told to write. Two muxes, `near` and `far`, over carriers in memory; what is written at
/// `near` passes a carrier whose room the test rules.
@Suite(.timeLimit(.minutes(1))) struct RoomTests {
    @Test func `owners write in turn, and in a read cycle no more than makes a batch full`() throws {
        try withScene { scene in
            let sources = try scene.sources("a", "b", "c", "d")
            try scene.deliverAll { sources.allSatisfy { $0.written > 16 * Source.batch } }
            // A turn is worth 128 to 256 KiB, as credit comes.
            #expect(sources.allSatisfy { $0.written < 3 * 16 * Source.batch })
            #expect(scene.mostInACycle < 2 * Source.batch)
        }
    }

    @Test func `without room nobody is told to write much, and a little passes`() throws {
        try withScene { scene in
            scene.nearCarrier.hasRoom = false
            let source = try scene.sources("a")[0]
            try scene.deliverAll()
            #expect(source.written == 0 && scene.received == 0)

            try scene.onLoop { _ in source.stream.write(ByteBuffer(string: "little")) }
            try scene.deliverAll()
            #expect(scene.received == 6)

            try scene.onLoop { _ in
                scene.nearCarrier.hasRoom = true
                scene.near?.carrierWritable()
            }
            try scene.deliverAll { source.written > 0 }
        }
    }

    @Test func `a stream whose peer takes nothing is not asked for more, until it does`() throws {
        try withScene { scene in
            scene.consumes = false
            let sources = try scene.sources("a", "b")
            try scene.deliverAll()
            // What the initial window lets pass.
            #expect(sources.map(\.written) == [Protocol.initialWindow, Protocol.initialWindow])
            #expect(scene.received == 2 * Protocol.initialWindow)

            scene.consumes = true
            try scene.onLoop { _ in scene.sinks.forEach { $0.consume() } }
            try scene.deliverAll { sources.allSatisfy { $0.written > 2 * Source.batch } }
        }
    }

    @Test func `who is told and writes nothing does not keep the others waiting`() throws {
        try withScene { scene in
            let sources = try scene.sources("silent", "a", "silent too", "b")
            try scene.deliverAll { sources[1].written > 4 * Source.batch && sources[3].written > 4 * Source.batch }
            #expect(sources[0].written == 0 && sources[2].written == 0)
        }
    }

    private func withScene(_ body: (Scene) throws -> Void) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let scene = Scene(on: group.next())
        do {
            try scene.begin()
            try body(scene)
        } catch {
            try group.syncShutdownGracefully()
            throw error
        }
        try group.syncShutdownGracefully()
    }
}

/// `@unchecked Sendable`: touched on the event loop, and by the test while that has nothing to do.
private final class Scene: @unchecked Sendable {
    let nearCarrier = MemoryCarrier()
    private let farCarrier = MemoryCarrier()
    private(set) var near: SecureMux?
    private var far: SecureMux?
    private(set) var sinks: [Sink] = []
    /// Whether what arrives is consumed at once.
    var consumes = true
    /// Bytes that were written in each read cycle.
    private var cycles: [UInt64: Int] = [:]
    private let eventLoop: any EventLoop

    init(on eventLoop: any EventLoop) { self.eventLoop = eventLoop }

    var received: Int { sinks.reduce(0) { $0 + $1.received } }
    var mostInACycle: Int { cycles.values.max() ?? 0 }

    func begin() throws {
        try onLoop { eventLoop in
            let near = SecureMux(
                role: .dialer, tls: try self.tls(.client), limits: Limits(), eventLoop: eventLoop)
            let far = SecureMux(
                role: .acceptor, tls: try self.tls(.server), limits: Limits(), eventLoop: eventLoop)
            near.delegate = Owner { $0.reset() }
            far.delegate = Owner { stream in
                stream.accept()
                let sink = Sink(stream, self)
                stream.delegate = sink
                self.sinks.append(sink)
            }
            self.nearCarrier.receiver = far
            self.farCarrier.receiver = near
            (self.near, self.far) = (near, far)
            near.start(on: self.nearCarrier)
            far.start(on: self.farCarrier)
        }
        try deliverAll()
    }

    private func tls(_ role: TLSContext.Role) throws -> TLSConnection {
        let identity = try Identity.generate(commonName: "somebody")
        return try TLSConnection(
            context: TLSContext(role: role, identity: identity, alpn: Protocol.linkALPN), serverName: nil,
            check: { _ in .accept })
    }

    /// One stream for each, whose owners wait for room.
    func sources(_ names: String...) throws -> [Source] {
        try onLoop { _ in
            guard let near = self.near else { return [] }
            let sources = try names.map { name in
                let source = Source(name, try near.open(), self)
                source.stream.delegate = source
                return source
            }
            // Who finds no room waits for it.
            let hasRoom = self.nearCarrier.hasRoom
            self.nearCarrier.hasRoom = false
            for source in sources { #expect(!source.stream.hasRoom) }
            self.nearCarrier.hasRoom = hasRoom
            return sources
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
    func deliverAll(until isDone: () -> Bool = { false }) throws {
        while !isDone(), try onLoop({ _ in [self.nearCarrier, self.farCarrier].count { $0.deliver() } > 0 }) {}
    }
}

/// Whenever it is told, it writes what its credit allows, up to a batch.
private final class Source: MuxStreamDelegate, @unchecked Sendable {
    static let batch = 256 * 1024

    let stream: MuxStream
    private var isSilent: Bool { name.hasPrefix("silent") }
    private(set) var written = 0
    private let name: String
    private let scene: Scene

    init(_ name: String, _ stream: MuxStream, _ scene: Scene) {
        self.name = name
        self.stream = stream
        self.scene = scene
    }

    func streamWritable() {
        guard !isSilent else { return }
        let count = min(stream.credit, Source.batch)
        scene.wrote(count)
        written += count
        stream.write(ByteBuffer(repeating: 7, count: count))
        _ = stream.hasRoom
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {}
    func streamFinished() {}
    func streamReset(_ reason: String) {}
}

private final class Sink: MuxStreamDelegate {
    private(set) var received = 0
    private var owed = 0
    private let stream: MuxStream
    private let scene: Scene

    init(_ stream: MuxStream, _ scene: Scene) {
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

private final class Owner: SecureMuxDelegate {
    private let onOpened: (MuxStream) -> Void

    init(_ onOpened: @escaping (MuxStream) -> Void) { self.onOpened = onOpened }

    func muxEstablished(peerKey: Fingerprint) {}
    func muxOpened(_ stream: MuxStream) { onOpened(stream) }
    func muxGoingAway(_ code: GoAwayCode) {}
    func muxEnded(_ failure: LinkFailure) {}
}

/// One direction of a link without a socket.
private final class MemoryCarrier: Carrier {
    var receiver: SecureMux?
    var hasRoom = true
    let isWritable = true
    private var queue = ByteBuffer()

    func write(_ ciphertext: ByteBuffer) { queue.writeImmutableBuffer(ciphertext) }

    /// False when there was nothing to deliver.
    func deliver() -> Bool {
        let bytes = queue
        guard bytes.readableBytes > 0 else { return false }
        queue = ByteBuffer()
        bytes.withUnsafeReadableBytes { receiver?.receive($0) }
        return true
    }

    func measured(roundTrip: TimeAmount) {}
    func close() {}
}

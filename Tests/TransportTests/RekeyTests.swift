import Mux
import NIOCore
import NIOPosix
import Testing
import Wire

@testable import TLSEngine
@testable import Transport

/// A link over a real socket, a session inside it, and an echo at the far end:
///
///     client ══ link ══ server
///       └──── session ────┘
///
/// Keys last for a few records only, where they would last for millions.
@Suite(.timeLimit(.minutes(2))) struct RekeyTests {
    fileprivate static let recordsPerKey = 16
    private static let bytes = 16 << 20

    @Test func `both levels renew their keys under load, in both directions, and lose nothing`() async throws {
        let link = try Level(alpn: Protocol.linkALPN)
        let session = try Level(alpn: Protocol.sessionALPN)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let echoed: Bool
        do {
            echoed = try await Self.echo(link, session, on: group)
        } catch {
            try await group.shutdownGracefully()
            throw error
        }
        try await group.shutdownGracefully()
        #expect(echoed)

        // A record holds 16 KiB at most, and a key lasts for so many of them.
        let least = Self.bytes / (16 << 10) / Self.recordsPerKey - 1
        for level in [link, session] {
            let (client, server) = (KeyUpdates.count(level.client), KeyUpdates.count(level.server))
            // Up to the last byte that counts; what was sent after it may have been under way at the end.
            #expect(client.received >= least && client.received <= server.sent)
            #expect(server.received >= least && server.received <= client.sent)
        }
    }

    @Test func `keys are renewed well before AES-GCM loses its margin`() {
        // RFC 8446 §5.5: 2^24.5 records.
        #expect(TLSConnection.defaultRecordsPerKey <= 1 << 23)
    }

    /// Whether all that was sent to the echo came back as it was.
    private static func echo(_ link: Level, _ session: Level, on group: any EventLoopGroup) async throws -> Bool {
        let listener = try await ServerBootstrap(group: group)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Socket.configure(channel)
                    let outer = Link(role: .acceptor, tls: try link.accepting(), eventLoop: channel.eventLoop)
                    outer.mux.delegate = Owner(onOpened: { stream in
                        stream.accept()
                        guard let tls = try? session.accepting() else { return stream.reset() }
                        let inner = SecureMux(
                            role: .acceptor, tls: tls, limits: Limits(), eventLoop: channel.eventLoop)
                        inner.delegate = Owner(onOpened: {
                            $0.accept()
                            $0.delegate = Echo(stream: $0)
                        })
                        inner.start(over: stream)
                    })
                    try channel.pipeline.syncOperations.addHandler(outer)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        guard let address = listener.localAddress else { return false }
        let done = group.next().makePromise(of: Bool.self)
        let client = try await ClientBootstrap(group: group)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Socket.configure(channel)
                    let outer = Link(role: .dialer, tls: try link.dialing(), eventLoop: channel.eventLoop)
                    outer.mux.delegate = Owner(onEstablished: {
                        do {
                            let inner = SecureMux(
                                role: .dialer, tls: try session.dialing(), limits: Limits(),
                                eventLoop: channel.eventLoop)
                            inner.delegate = Owner(onEstablished: {
                                do {
                                    Caller(stream: try inner.open(), bytes: Self.bytes, done: done).start()
                                } catch {
                                    done.fail(error)
                                }
                            })
                            inner.start(over: try outer.mux.open())
                        } catch {
                            done.fail(error)
                        }
                    })
                    try channel.pipeline.syncOperations.addHandler(outer)
                }
            }
            .connect(to: address).get()
        client.closeFuture.whenComplete { _ in done.succeed(false) }
        let result = try await done.futureResult.get()
        try await client.close()
        try await listener.close()
        return result
    }
}

/// The two sides of one level of TLS.
private struct Level: Sendable {
    let client: TLSContext
    let server: TLSContext

    init(alpn: String) throws {
        client = try TLSContext(role: .client, identity: try .generate(commonName: "client"), alpn: alpn)
        server = try TLSContext(role: .server, identity: try .generate(commonName: "server"), alpn: alpn)
        KeyUpdates.watch(client)
        KeyUpdates.watch(server)
    }

    func dialing() throws -> TLSConnection { try connection(client) }
    func accepting() throws -> TLSConnection { try connection(server) }

    private func connection(_ context: TLSContext) throws -> TLSConnection {
        try TLSConnection(context: context, serverName: nil, recordsPerKey: RekeyTests.recordsPerKey) { _ in .accept }
    }
}

private final class Echo: MuxStreamDelegate {
    private let stream: MuxStream

    init(stream: MuxStream) { self.stream = stream }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream.write(ByteBuffer(bytes: bytes))
        stream.consumed(bytes.count)
    }

    func streamFinished() { stream.finish() }
    func streamReset(_ reason: String) {}
    func streamWritable() {}
}

/// Sends bytes, and holds what comes back against them.
private final class Caller: MuxStreamDelegate {
    private let stream: MuxStream
    private let done: EventLoopPromise<Bool>
    private let sent: ByteBuffer
    private var rest: ByteBuffer

    init(stream: MuxStream, bytes: Int, done: EventLoopPromise<Bool>) {
        self.stream = stream
        self.done = done
        // A period that is no divisor of any record's or buffer's size.
        sent = ByteBuffer(bytes: (0..<bytes).lazy.map { UInt8($0 % 251) })
        rest = sent
    }

    func start() {
        stream.delegate = self
        stream.write(sent)
        stream.finish()
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        let expected = rest.readSlice(length: bytes.count)
        let matches = expected?.withUnsafeReadableBytes { $0.elementsEqual(bytes) } ?? false
        guard matches else {
            done.succeed(false)
            return stream.reset()
        }
        stream.consumed(bytes.count)
    }

    func streamFinished() { done.succeed(rest.readableBytes == 0) }
    func streamReset(_ reason: String) { done.succeed(false) }
    func streamWritable() {}
}

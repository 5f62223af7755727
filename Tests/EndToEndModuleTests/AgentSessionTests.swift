import EndToEnd
import Mux
import NIOCore
import NIOPosix
import TLSEngine
import Testing
import Transport
import Wire

/// An agent's session with a client that keeps to TLS and yamux, and in what it asks for to nothing.
@Suite struct AgentSessionTests {
    private static let target = HostPort(host: "localhost", port: 5432)
    private static let other = HostPort(host: "localhost", port: 22)

    @Test func `every forward is judged by its own target, whatever the hello said`() throws {
        for wanted in [nil, Self.target] {
            let table = try Table(target: Self.target, allowedAddresses: nil)
            #expect(try table.ask(SessionHello(target: wanted)) == #"{"accepted":{"target":"localhost:5432"}}"#)
            #expect(
                try table.ask(ForwardRequest(target: Self.other))
                    == #"{"refused":{"code":"target_forbidden","message":"this agent forwards to localhost:5432, not to localhost:22"}}"#
            )
            #expect(try table.forwards == 0)
            #expect(try table.refused == [Self.other])
            #expect(try table.ask(ForwardRequest(target: Self.target)) == nil)
            #expect(try table.forwards == 1)
        }
    }

    @Test func `allowed_addresses that lack the target let no forward through`() throws {
        let refusal =
            #"{"refused":{"code":"target_forbidden","message":"the token does not allow the address localhost:5432"}}"#
        for allowed in [[], ["localhost:22"], ["localhost:543", "localhost:54321"], ["LOCALHOST:5432 "]] {
            let table = try Table(target: Self.target, allowedAddresses: allowed)
            #expect(try table.ask(SessionHello(target: nil)) == refusal)
            // A client that does not take no for an answer.
            #expect(try table.ask(ForwardRequest(target: Self.target)) == nil)
            #expect(try table.ask(ForwardRequest(target: Self.other)) == nil)
            #expect(try table.forwards == 0)
        }
    }

    @Test func `allowed_addresses that have the target let its forwards through, and no others`() throws {
        let table = try Table(
            target: Self.target, allowedAddresses: [Self.other.description, Self.target.description])
        #expect(try table.ask(SessionHello(target: nil)) == #"{"accepted":{"target":"localhost:5432"}}"#)
        #expect(try table.ask(ForwardRequest(target: Self.other))?.hasPrefix(#"{"refused":"#) == true)
        #expect(try table.ask(ForwardRequest(target: Self.target)) == nil)
        #expect(try table.forwards == 1)
    }
}

/// Client and agent at one table: a link without relay, in memory, and the session in its only stream.
///
/// `@unchecked Sendable`: after `init`, all is touched on the event loop only.
private final class Table: @unchecked Sendable {
    private let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
    private let client: Identity
    private let agent: Identity
    private var carriers: [MemoryCarrier] = []
    private var inner: SecureMux?
    private var events: (forwards: Int, refused: [HostPort]) = (0, [])

    init(target: HostPort, allowedAddresses: [String]?) throws {
        client = try Identity.generate(commonName: "client")
        agent = try Identity.generate(commonName: "agent")
        let dialer = try onLoop { eventLoop in
            try self.link(target: target, allowedAddresses: allowedAddresses, on: eventLoop)
        }
        try deliverAll()
        try onLoop { eventLoop in
            let inner = SecureMux(
                role: .dialer, tls: try self.connection(.client, Protocol.sessionALPN), limits: Limits(),
                eventLoop: eventLoop)
            inner.delegate = Owner { $0.reset() }
            inner.start(over: try dialer.open())
            self.inner = inner
        }
        try deliverAll()
    }

    var forwards: Int { get throws { try onLoop { _ in self.events.forwards } } }
    var refused: [HostPort] { get throws { try onLoop { _ in self.events.refused } } }

    /// Opens a stream with a message; the JSON of the answer, if one comes at once.
    func ask(_ message: some Encodable) throws -> String? {
        let bytes = try Message.encode(message)
        let reply = Reply()
        try onLoop { _ in
            guard let stream = try self.inner?.open() else { return }
            stream.delegate = reply
            stream.write(ByteBuffer(bytes: bytes))
        }
        try deliverAll()
        return try onLoop { _ in reply.json }
    }

    private func link(target: HostPort, allowedAddresses: [String]?, on eventLoop: any EventLoop) throws -> SecureMux {
        let offer = TunnelOffer(
            clientID: "alice", clientAddress: "203.0.113.7", allowedAddresses: allowedAddresses)
        let tls = try SessionTLS(role: .agent, identity: agent)
        let dialer = SecureMux(
            role: .dialer, tls: try connection(.client, Protocol.linkALPN), limits: Limits(), eventLoop: eventLoop)
        let acceptor = SecureMux(
            role: .acceptor, tls: try connection(.server, Protocol.linkALPN), limits: Limits(), eventLoop: eventLoop)
        carriers = [MemoryCarrier(to: acceptor), MemoryCarrier(to: dialer)]
        dialer.delegate = Owner { $0.reset() }
        acceptor.delegate = Owner { [unowned self] stream in
            stream.accept()
            _ = try? AgentSession(
                carrier: stream, tls: tls, offer: offer, clients: nil, target: target,
                mostForwards: AgentSession.mostForwards
            ) { event in
                switch event {
                case .forward: self.events.forwards += 1
                case .forwardRefused(let request, _): self.events.refused.append(request.target)
                case .ready, .ended: break
                }
            }
        }
        for (mux, carrier) in zip([dialer, acceptor], carriers) { mux.start(on: carrier) }
        return dialer
    }

    private func connection(_ role: TLSContext.Role, _ alpn: String) throws -> TLSConnection {
        let identity = role == .client ? client : agent
        return try TLSConnection(
            context: TLSContext(role: role, identity: identity, alpn: alpn), serverName: nil, check: { _ in .accept })
    }

    private func onLoop<Value: Sendable>(_ body: @escaping @Sendable (any EventLoop) throws -> Value) throws -> Value {
        let eventLoop = eventLoop
        return try eventLoop.submit { try body(eventLoop) }.wait()
    }

    /// Each turn of the loop flushes what the one before it has delivered.
    private func deliverAll() throws {
        while try onLoop({ _ in self.carriers.contains { $0.deliver() } }) {}
    }
}

/// `@unchecked Sendable`: as `Table`.
private final class Reply: MuxStreamDelegate, @unchecked Sendable {
    private var bytes: [UInt8] = []

    /// Without the length that precedes it.
    var json: String? { bytes.isEmpty ? nil : String(decoding: bytes.dropFirst(2), as: UTF8.self) }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) { self.bytes += bytes }
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
    private let receiver: SecureMux
    private var queue = ByteBuffer()

    init(to receiver: SecureMux) { self.receiver = receiver }

    var isWritable: Bool { true }

    func write(_ ciphertext: ByteBuffer) { queue.writeImmutableBuffer(ciphertext) }

    /// False when there was nothing to deliver.
    func deliver() -> Bool {
        let bytes = queue
        guard bytes.readableBytes > 0 else { return false }
        queue = ByteBuffer()
        bytes.withUnsafeReadableBytes { receiver.receive($0) }
        return true
    }

    func measured(roundTrip: TimeAmount) {}
    func close() {}
}

import EndToEnd
import Logging
import Mux
import NIOCore
import NIOEmbedded
import TLSEngine
import Wire

@testable import Transport

/// An agent or a connect, and a relay that is also the other party of their sessions: it says what it likes on the link,
/// on the control stream, into a tunnel, and, with a key of its own, inside the session. Whoever's key is not trusted has
/// no session; nobody has a forward before a session; and everything that has begun ends, once.
func sessions(_ input: Input) {
    var input = input
    let setup = input.byte()
    let party = Party(setup & 1 == 0 ? .agent : .client, trustsEverybody: setup & 6 != 0)
    let relay = FarRelay(party.end, role: setup & 1 == 0 ? .agent : .client)
    party.settle()
    // Most inputs are about what follows.
    if setup & 8 == 0 {
        for step in 0..<3 as Range<UInt8> {
            relay.goOn(step)
            party.settle()
        }
    }
    while !input.isEmpty {
        act(&input, party, relay)
        party.settle()
    }
    party.finish()
}

private func act(_ input: inout Input, _ party: Party, _ relay: FarRelay) {
    let step = input.byte()
    switch step & 15 {
    case 0...3: relay.send(header(step, &input), toSession: false)
    case 4...7: relay.send(header(step, &input), toSession: true)
    case 8: relay.send(message: Array(input.line()), on: StreamID(1), isFirst: false, toSession: false)
    case 9: relay.send(message: Array(input.line()), on: relay.tunnel, isFirst: step & 16 != 0, toSession: false)
    case 10:
        relay.send(
            message: Array(input.line()), on: StreamID(UInt32(input.byte())), isFirst: step & 16 != 0, toSession: true)
    case 11: relay.goOn(step >> 4)
    case 12: relay.intoTunnel(Array(input.take(input.integer(bytes: 1))))
    case 13: relay.notice(step >> 4)
    case 14: party.reads(step & 16 != 0)
    default: party.wait(seconds: Int64(input.byte() & 31))
    }
}

private func header(_ step: UInt8, _ input: inout Input) -> FrameHeader {
    let kinds: [FrameHeader.Kind] = [.data, .windowUpdate, .ping, .goAway]
    return FrameHeader(
        kinds[Int(step & 3)], flags: .init(rawValue: UInt16(input.byte())), streamID: StreamID(UInt32(input.byte())),
        length: UInt32(truncatingIfNeeded: input.integer(bytes: Int(step >> 6) + 1)))
}

private let target = HostPort(host: "localhost", port: 5432)
private let stranger = HostPort(host: "localhost", port: 22)

private enum SessionFixture {
    /// One for all inputs: the loop's memory belongs to the thread.
    static let eventLoop = EmbeddedEventLoop()
    static let own = identity()
    static let relay = identity()
    static let logger = Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }

    static func identity() -> Identity {
        guard let identity = try? Identity.generate(commonName: "fuzz") else { fail("no identity") }
        return identity
    }

    static func context(_ role: TLSContext.Role, _ identity: Identity, _ alpn: String) -> TLSContext {
        guard let context = try? TLSContext(role: role, identity: identity, alpn: alpn) else { fail("no context") }
        return context
    }

    static let near = context(.client, own, Protocol.linkALPN)
    static let far = context(.server, relay, Protocol.linkALPN)
    static let sessions: [TLSContext] = [
        context(.client, relay, Protocol.sessionALPN), context(.server, relay, Protocol.sessionALPN),
    ]
}

/// The agent or connect that is tried, with a program behind it that gives back what it gets.
private final class Party {
    let end: FarEnd
    private let role: PeerRole
    private let trustsEverybody: Bool
    private let clients: AuthorizedClients?
    private var link: RelayLink?
    private var begun = 0
    private var ended = 0
    private var hasLinkEnded = false

    init(_ role: PeerRole, trustsEverybody: Bool) {
        self.role = role
        self.trustsEverybody = trustsEverybody
        Array("\(SessionFixture.own.fingerprint)\n".utf8).withUnsafeBytes { write($0, to: "clients") }
        clients = trustsEverybody ? nil : try? AuthorizedClients(path: "clients")
        do {
            let tls = try TLSConnection(context: SessionFixture.near, serverName: nil) { _ in .accept }
            let far = try TLSConnection(context: SessionFixture.far, serverName: nil) { _ in .accept }
            let mux = SecureMux(role: .dialer, tls: tls, limits: Limits(), eventLoop: SessionFixture.eventLoop)
            end = FarEnd(mux: mux, tls: far)
            begin(mux)
        } catch {
            fail("\(error)")
        }
    }

    private func begin(_ mux: SecureMux) {
        let role = role
        let count = Counter()
        // A new token each time, as a file has it that is renewed.
        let hello: @Sendable () -> Hello = {
            Hello(
                role: role, token: BearerToken("token-\(count.next())"), agentID: AgentID("db"), software: "fuzz")
        }
        let dial = RelayDial(
            relay: target, context: SessionFixture.near, check: { _ in .accept }, trusted: { _ in }, hello: hello,
            tokenEvent: { _ in })
        let admitted = SessionFixture.eventLoop.makePromise(of: RelayLink.self)
        let link = RelayLink(mux: mux, hello: hello(), dial: dial, admitted: admitted)
        self.link = link
        mux.delegate = link
        admitted.futureResult.assumeIsolated().whenSuccess { self.admitted($0) }
        link.end.futureResult.assumeIsolated().whenSuccess { _ in self.hasLinkEnded = true }
        mux.start(on: end)
    }

    private func admitted(_ link: RelayLink) {
        guard role == .client else { return link.onOpened = { self.receivedOffer(on: $0) } }
        guard let stream = try? link.open() else { return }
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                stream.consumed(count)
                guard case .accepted? = try? Message.decode(Answer<Accepted>.self, from: json) else {
                    return stream.reset()
                }
                self.connect(over: stream)
            },
            onFailure: { _ in })
        stream.write(ByteBuffer(bytes: message(TunnelRequest(agentID: AgentID("db")!))))
    }

    private func receivedOffer(on stream: MuxStream) {
        stream.accept()
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                stream.returnCredit(count)
                guard let offer = try? Message.decode(TunnelOffer.self, from: json) else { return stream.reset() }
                self.serve(offer, over: stream)
            },
            onFailure: { _ in })
    }

    private func serve(_ offer: TunnelOffer, over stream: MuxStream) {
        begun += 1
        var isReady = false
        var isOver = false
        let session = try? AgentSession(
            carrier: stream, tls: SessionTLS(role: .agent, identity: SessionFixture.own), offer: offer,
            clients: clients,
            target: target, mostForwards: 4
        ) { event in
            expect(!isOver, "something follows a session's end")
            switch event {
            case .ready:
                expect(!isReady && self.trustsEverybody, "a session with somebody who is not trusted")
                isReady = true
            case .forward(let stream):
                expect(
                    isReady && offer.allowedAddresses?.contains("\(target)") ?? true, "a forward that is not allowed")
                stream.delegate = GiveBack(stream)
            case .forwardRefused(let request, _):
                expect(request.target != target || offer.allowedAddresses != nil, "the target is refused")
            case .ended:
                isOver = true
                self.ended += 1
            }
        }
        guard session != nil else { return begun -= 1 }
        stream.answer(Answer<Accepted>.accepted(Accepted()))
    }

    private func connect(over stream: MuxStream) {
        begun += 1
        var isReady = false
        var isOver = false
        _ = try? ConnectSession(
            carrier: stream, tls: SessionTLS(role: .connect, identity: SessionFixture.own),
            trust: .pinned(trustsEverybody ? SessionFixture.relay.fingerprint : SessionFixture.own.fingerprint),
            agent: AgentID("db")!, target: nil, logger: SessionFixture.logger,
            onReady: { session, welcome, _ in
                expect(!isReady && !isOver && self.trustsEverybody, "a session with somebody who is not trusted")
                isReady = true
                for _ in 0..<2 {
                    guard let forward = try? session.openForward(to: welcome.target) else { continue }
                    forward.delegate = GiveBack(forward)
                }
            },
            onEnd: { _ in
                expect(!isOver, "a session ends twice")
                isOver = true
                self.ended += 1
            })
    }

    func settle() {
        repeat { SessionFixture.eventLoop.run() } while end.exchange()
    }

    func reads(_ reads: Bool) {
        guard reads != end.isWritable else { return }
        end.isWritable = reads
        if reads { end.mux.carrierWritable() }
    }

    func wait(seconds: Int64) {
        SessionFixture.eventLoop.advanceTime(by: .seconds(seconds))
    }

    /// The link ends, and with it all that was on it.
    func finish() {
        end.onPlaintext = { _ in }
        end.mux.carrierEnded("the end of the input")
        settle()
        wait(seconds: 60)
        expect(begun == ended, "\(ended) of \(begun) sessions have ended")
        expect(hasLinkEnded && end.mux.streamCount == 0, "the link has not ended")
    }
}

/// Used by one thread.
private final class Counter: @unchecked Sendable {
    private var value = 0

    func next() -> Int {
        value += 1
        return value
    }
}

private final class GiveBack: MuxStreamDelegate {
    private let stream: MuxStream

    init(_ stream: MuxStream) { self.stream = stream }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream.write(ByteBuffer(bytes: bytes))
        stream.consumed(bytes.count)
    }

    func streamFinished() { stream.finish() }
    func streamReset(_ reason: String) {}
    func streamWritable() {}
}

/// The relay, and whoever it lets speak in a tunnel.
private final class FarRelay {
    private let end: FarEnd
    private let role: PeerRole
    private(set) var tunnel = StreamID(0)
    private var reader = FrameReader()
    private var session: TLSConnection?
    private var isEstablished = false
    private var isFirst = true
    private var nextForward: UInt32 = 3
    /// Bytes of payload that are still made up, lest an input take seconds.
    private var filler = 1 << 20

    init(_ end: FarEnd, role: PeerRole) {
        self.end = end
        self.role = role
        // connect's second stream, or the first of the relay's.
        tunnel = StreamID(role == .agent ? 2 : 3)
        end.onPlaintext = { self.receive($0) }
    }

    /// The next thing that an honest relay and an honest party would say.
    func goOn(_ step: UInt8) {
        switch step & 3 {
        case 0: send(bytes: message(Answer<Welcome>.accepted(Welcome(software: "fuzz"))), on: StreamID(1), [.ack])
        case 1:
            if role == .agent {
                send(bytes: message(TunnelOffer(clientID: "laptop", clientAddress: "192.0.2.1")), on: tunnel, [.syn])
            } else {
                send(bytes: message(Answer<Accepted>.accepted(Accepted())), on: tunnel, [.ack])
            }
            shakeHands([])
        case 2:
            if role == .agent {
                sendToSession(bytes: message(SessionHello(target: nil)), on: StreamID(1), [.syn])
            } else {
                let welcome = Answer<SessionWelcome>.accepted(SessionWelcome(target: target))
                sendToSession(bytes: message(welcome), on: StreamID(1), [.ack])
            }
        default:
            sendToSession(
                bytes: message(ForwardRequest(target: nextForward & 4 == 0 ? target : stranger)),
                on: StreamID(nextForward), [.syn])
            nextForward += 2
        }
    }

    func notice(_ kind: UInt8) {
        let notices = [
            Notice(tokenExpiresIn: 60), Notice(renewal: .accepted(Accepted())),
            Notice(renewal: .refused(Refusal(.tokenExpired, "too late"))),
            Notice(ending: Refusal(.tokenRevoked, "gone")),
        ]
        send(bytes: message(notices[Int(kind & 3)]), on: StreamID(1), [])
    }

    // MARK: On the link

    func send(_ header: FrameHeader, toSession: Bool) {
        let count = min(header.payloadLength, filler)
        filler -= count
        let bytes = encoded(header) + [UInt8](repeating: 0x21, count: count)
        if toSession { sendToSession(bytes) } else { end.send(bytes) }
    }

    func send(message json: [UInt8], on id: StreamID, isFirst: Bool, toSession: Bool) {
        let bytes = [UInt8(json.count >> 8 & 0xff), UInt8(json.count & 0xff)] + json
        if toSession {
            sendToSession(bytes: bytes, on: id, isFirst ? [.syn] : [])
        } else {
            send(bytes: bytes, on: id, isFirst ? [.syn] : [])
        }
    }

    private func send(bytes: [UInt8], on id: StreamID, _ flags: FrameHeader.Flags) {
        end.send(encoded(FrameHeader(.data, flags: flags, streamID: id, length: UInt32(bytes.count))) + bytes)
    }

    func intoTunnel(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        // Credit for whatever the party says in the session.
        if isFirst { end.send(encoded(FrameHeader(.windowUpdate, streamID: tunnel, length: 1 << 24))) }
        isFirst = false
        send(bytes: bytes, on: tunnel, [])
    }

    private func receive(_ plaintext: [UInt8]) {
        var inTunnel: [UInt8] = []
        let areFrames = reader.read(plaintext) { header, payload in
            if header.streamID == tunnel, let payload { inTunnel += payload }
        }
        expect(areFrames, "what is no frame was sent")
        if !inTunnel.isEmpty { shakeHands(inTunnel) }
    }

    // MARK: Inside the session

    /// The first bytes in a tunnel are the agent's or the relay's message about it, which TLS must not see.
    private var messages = MessageBuffer()
    private var isPastMessage = false

    private func shakeHands(_ bytes: [UInt8]) {
        var rest = bytes[...]
        if !isPastMessage, !rest.isEmpty {
            guard let (count, json) = try? rest.withUnsafeBytes({ try messages.take($0) }) else { return }
            rest = rest.dropFirst(count)
            isPastMessage = json != nil
            // connect's request is not the relay's cue, the agent's answer is.
            guard isPastMessage, role == .agent || !rest.isEmpty else { return }
        }
        guard isPastMessage else { return }
        if session == nil {
            session = try? TLSConnection(
                context: SessionFixture.sessions[role == .agent ? 0 : 1], serverName: nil
            ) { _ in .accept }
        }
        guard let session else { return }
        rest.withUnsafeBytes { rest in
            session.feed(rest)
            do {
                isEstablished = try session.handshake() == .established
                var plaintext = [UInt8](repeating: 0, count: 16 * 1024)
                while isEstablished, case .bytes = try plaintext.withUnsafeMutableBytes({ try session.read(into: $0) })
                {}
            } catch {
                // An alert, after which nothing comes.
            }
        }
        var output = [UInt8](repeating: 0, count: session.pendingOutput)
        if !output.isEmpty { _ = output.withUnsafeMutableBytes { session.drainOutput(into: $0) } }
        intoTunnel(output)
    }

    private func sendToSession(bytes: [UInt8], on id: StreamID, _ flags: FrameHeader.Flags) {
        sendToSession(encoded(FrameHeader(.data, flags: flags, streamID: id, length: UInt32(bytes.count))) + bytes)
    }

    private func sendToSession(_ plaintext: [UInt8]) {
        guard isEstablished, let session, !plaintext.isEmpty else { return }
        var sealed = [UInt8](repeating: 0, count: TLSConnection.sealedSize(plaintext.count))
        let produced = try? plaintext.withUnsafeBytes { plaintext in
            try sealed.withUnsafeMutableBytes { try session.write(plaintext, into: $0) }
        }
        for start in stride(from: 0, to: produced ?? 0, by: 65_536) {
            intoTunnel(Array(sealed[start..<min(start + 65_536, produced ?? 0)]))
        }
    }
}

import Mux
import Transport
import Wire

/// A peer that keeps the rules, and holds the relay to them: to its session everything that arrives must be right.
final class HonestPeer {
    private let end: FarEnd
    private let role: PeerRole
    private var session = Session(role: .dialer, secret: 1)
    private var inbox: [UInt8] = []
    private var hasEnded = false
    /// Of the tunnel streams, what of the first message has come; nil once it is there.
    private var tunnels: [StreamID: MessageBuffer?] = [:]
    private var control = StreamID(1)
    private var filler = 4 << 20

    init(_ end: FarEnd, role: PeerRole) {
        self.end = end
        self.role = role
        end.onPlaintext = { self.receive($0) }
    }

    func sayHello() {
        guard let (id, header) = try? session.open() else { fail("the first stream cannot be opened") }
        control = id
        end.send(encoded(header))
        send(hello(role), on: id)
    }

    func check() {
        expect(inbox.isEmpty, "the relay sent a part of a frame")
        expect(!hasEnded && end.mux.isRunning && !end.isClosed, "the honest peer's link ended")
    }

    // MARK: What it does by itself

    /// A client opens a tunnel; agents wait for theirs.
    func open() {
        guard role == .client, session.streamCount < 8, let agent = AgentID("db"),
            let (id, header) = try? session.open()
        else { return }
        tunnels[id] = .some(MessageBuffer())
        end.send(encoded(header))
        send(message(TunnelRequest(agentID: agent)), on: id)
    }

    func send(_ count: Int, on place: UInt8) {
        guard let id = tunnel(place), case .some(nil) = tunnels[id] else { return }
        let count = min(count, session.sendCredit(id), filler)
        filler -= count
        send((0..<count).map { UInt8(truncatingIfNeeded: ($0 + filler) &* 5) }, on: id)
    }

    func finish(_ place: UInt8) {
        guard let id = tunnel(place), let header = session.finish(id) else { return }
        end.send(encoded(header))
    }

    func reset(_ place: UInt8) {
        guard let id = tunnel(place), let header = session.reset(id) else { return }
        tunnels[id] = nil
        end.send(encoded(header))
    }

    private func tunnel(_ place: UInt8) -> StreamID? {
        let ids = tunnels.keys.sorted()
        return ids.isEmpty ? nil : ids[Int(place) % ids.count]
    }

    private func send(_ bytes: [UInt8], on id: StreamID) {
        guard !bytes.isEmpty, let header = session.send(id, count: bytes.count) else { return }
        end.send(encoded(header) + bytes)
    }

    // MARK: What it hears

    private func receive(_ plaintext: [UInt8]) {
        inbox += plaintext
        while inbox.count >= FrameHeader.size {
            do {
                let header = try inbox.withUnsafeBytes { try FrameHeader($0) }
                guard inbox.count >= FrameHeader.size + header.payloadLength else { return }
                let payload = Array(inbox[FrameHeader.size...].prefix(header.payloadLength))
                inbox.removeFirst(FrameHeader.size + payload.count)
                perform(try session.receive(header), payload)
            } catch {
                fail("the relay broke the protocol: \(error)")
            }
        }
    }

    private func perform(_ action: ReceiveAction, _ payload: [UInt8]) {
        switch action {
        case .none, .discard, .pong: break
        case .send(let header): end.send(encoded(header))
        case .goAway: hasEnded = true
        case .reset(let id, let error, _, _): fail("the relay broke the rules of stream \(id): \(error)")
        case .stream(let event): perform(event, payload)
        }
    }

    private func perform(_ event: StreamEvent, _ payload: [UInt8]) {
        let id = event.id
        if event.opened {
            expect(role == .agent, "the relay opened a stream to a client")
            tunnels[id] = .some(MessageBuffer())
            if let header = session.accept(id) { end.send(encoded(header)) }
        }
        if event.ending == .reset {
            expect(id != control, "the relay reset the control stream")
            tunnels[id] = nil
            return
        }
        if !payload.isEmpty { receive(payload, on: id) }
        if event.ending == .finished {
            expect(id != control, "the relay ended the control stream")
            finishInTurn(id)
        }
    }

    private func receive(_ payload: [UInt8], on id: StreamID) {
        guard case .some(.some(var buffer)) = tunnels[id] else { return consumed(payload.count, on: id) }
        let taken = try? payload.withUnsafeBytes { try buffer.take($0) }
        guard let (count, json) = taken else {
            // The first message of a tunnel to a client may be the other peer's.
            expect(role == .client, "an offer that is no message")
            tunnels[id] = .some(nil)
            return consumed(payload.count, on: id)
        }
        tunnels[id] = .some(json == nil ? buffer : nil)
        guard role == .agent, let json else { return consumed(payload.count, on: id) }
        expect((try? Message.decode(TunnelOffer.self, from: json)) != nil, "an offer that cannot be read")
        expect(count == payload.count, "data behind the offer")
        if let header = session.grant(id, count: json.count + 2) { end.send(encoded(header)) }
        send(message(Answer<Accepted>.accepted(Accepted())), on: id)
    }

    private func consumed(_ count: Int, on id: StreamID) {
        if let header = session.consumed(id, count: count, now: 0) { end.send(encoded(header)) }
    }

    private func finishInTurn(_ id: StreamID) {
        if let header = session.finish(id) { end.send(encoded(header)) }
        tunnels[id] = nil
    }
}

/// A peer that says whatever it is told to.
final class HostilePeer {
    private let end: FarEnd
    private let role: PeerRole
    /// Bytes of payload that are still made up, lest an input take seconds.
    private var filler = 4 << 20

    init(_ end: FarEnd, role: PeerRole) {
        self.end = end
        self.role = role
    }

    /// The right one, one for the other role, or one without what it needs.
    func sayHello(_ kind: Int) {
        switch kind & 3 {
        case 0: send(message: Array(hello(role).dropFirst(2)), on: StreamID(1), opens: true)
        case 1:
            send(message: Array(hello(role == .agent ? .client : .agent).dropFirst(2)), on: StreamID(1), opens: true)
        case 2: send(message: Array("{\"version\":1}".utf8), on: StreamID(1), opens: true)
        default: send(message: [], on: StreamID(1), opens: true)
        }
    }

    /// A tunnel request, or an agent's answer with the credit that comes before it.
    func sayRight(on id: StreamID) {
        guard role == .agent else {
            return send(message: Array("{\"agent_id\":\"db\"}".utf8), on: id, opens: true)
        }
        let offer = message(TunnelOffer(clientID: "laptop", clientAddress: "192.0.2.0"))
        end.send(encoded(FrameHeader(.windowUpdate, flags: .ack, streamID: id, length: UInt32(offer.count))))
        send(message: Array("{\"accepted\":{}}".utf8), on: id, opens: false)
    }

    func send(message json: [UInt8], on id: StreamID, opens: Bool) {
        let bytes = [UInt8(json.count >> 8 & 0xff), UInt8(json.count & 0xff)] + json
        end.send(
            encoded(FrameHeader(.data, flags: opens ? .syn : [], streamID: id, length: UInt32(bytes.count))) + bytes)
    }

    /// Frames may claim more than they bring.
    func send(_ header: FrameHeader, payloadCount: Int) {
        let count = min(payloadCount, filler)
        filler -= count
        end.send(encoded(header) + (0..<count).map { UInt8(truncatingIfNeeded: ($0 + filler) &* 7) })
    }

    func send(plaintext: [UInt8]) {
        end.send(plaintext)
    }

    func send(ciphertext: [UInt8]) {
        end.send(ciphertext: ciphertext)
    }

    /// Whether it takes what the relay sends.
    func reads(_ reads: Bool) {
        guard reads != end.isWritable else { return }
        end.isWritable = reads
        if reads { end.mux.carrierWritable() }
    }
}

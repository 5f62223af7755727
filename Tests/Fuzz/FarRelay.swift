import TLSEngine
import Wire

/// The relay, and whoever it lets speak in a tunnel.
final class FarRelay {
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
                let welcome = Answer<SessionWelcome>.accepted(SessionWelcome(target: SessionFixture.target))
                sendToSession(bytes: message(welcome), on: StreamID(1), [.ack])
            }
        default:
            sendToSession(
                bytes: message(
                    ForwardRequest(target: nextForward & 4 == 0 ? SessionFixture.target : SessionFixture.stranger)),
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

import Logging
import Mux
import NIOCore
import NIOEmbedded
import TLSEngine
import Tokens
import Wire

@testable import Relay
@testable import Transport

/// A relay without sockets, and the far ends of its links as TLS connections.
final class RelayFixture {
    enum Peer: Int {
        case honest
        case hostile
    }

    /// One for all inputs: the loop's memory belongs to the thread.
    private static let eventLoop = EmbeddedEventLoop()
    private static let contexts = [TLSContext.Role.server, .client, .client].map { role in
        guard let identity = try? Identity.generate(commonName: "fuzz"),
            let context = try? TLSContext(role: role, identity: identity, alpn: Protocol.linkALPN)
        else { fail("no context") }
        return context
    }

    private let hall = Hall(
        policy: TokenPolicy(verifier: TokenFixture.verifier, revocations: Revocations()),
        authorization: Authorization(requireScope: false), limits: RelayLimits(),
        logger: Logger(label: "fuzz") { _ in SwiftLogNoOpLogHandler() }, now: { TokenFixture.now })
    private var ends: [FarEnd] = []

    func link(_ peer: Peer) -> FarEnd {
        do {
            let near = try TLSConnection(context: Self.contexts[0], serverName: nil) { _ in .accept }
            let far = try TLSConnection(context: Self.contexts[1 + peer.rawValue], serverName: nil) { _ in .accept }
            let link = Link(
                role: .acceptor, tls: near, eventLoop: Self.eventLoop)
            let mux = link.mux
            let visit = try hall.door.enter(SocketAddress(ipAddress: "192.0.2.\(peer.rawValue)", port: 1)) { _ in }
            mux.delegate = PeerLink(link, visit: visit, hall: hall)
            let end = FarEnd(mux: mux, tls: far)
            ends.append(end)
            mux.start(on: end)
            return end
        } catch {
            fail("\(error)")
        }
    }

    /// Lets everything that is under way arrive.
    func settle() {
        repeat { Self.eventLoop.run() } while ends.reduce(false) { $1.exchange() || $0 }
    }

    /// Ends all links; nothing must be left of them.
    func end() {
        for end in ends {
            end.onPlaintext = { _ in }
            end.mux.carrierEnded("the end of the input")
        }
        settle()
        expect(hall.links.all.isEmpty, "links are left")
        // What lingers is let go.
        Self.eventLoop.advanceTime(by: .seconds(60))
    }
}

/// The peer's end of a link, and the wire to it.
final class FarEnd: Carrier {
    let mux: SecureMux
    private let tls: TLSConnection
    private var toPeer: [UInt8] = []
    private var toRelay: [UInt8] = []
    var isWritable = true
    /// What the peer does with what it has decrypted.
    var onPlaintext: ([UInt8]) -> Void = { _ in }
    /// Told what goes both ways, and that something other than records of TLS went to the relay.
    var onSaid: ([UInt8]) -> Void = { _ in }
    var onHeard: ([UInt8]) -> Void = { _ in }
    var onTampering: () -> Void = {}
    private var isEstablished = false
    private(set) var isClosed = false

    init(mux: SecureMux, tls: TLSConnection) {
        self.mux = mux
        self.tls = tls
        _ = try? tls.handshake()
    }

    func write(_ ciphertext: ByteBuffer) {
        toPeer += ciphertext.readableBytesView
    }

    func measured(roundTrip: TimeAmount) {}

    func close() {
        isClosed = true
    }

    /// Moves bytes both ways; false when there were none.
    func exchange() -> Bool {
        let arrived = isWritable ? toPeer : []
        if isWritable { toPeer = [] }
        if !arrived.isEmpty { receive(arrived) }
        takeOutput()
        let sent = toRelay
        toRelay = []
        if !sent.isEmpty { sent.withUnsafeBytes { mux.receive($0) } }
        return !arrived.isEmpty || !sent.isEmpty
    }

    private func receive(_ ciphertext: [UInt8]) {
        ciphertext.withUnsafeBytes { ciphertext in
            tls.feed(ciphertext)
            do {
                if !isEstablished {
                    guard try tls.handshake() == .established else { return }
                    isEstablished = true
                }
                var plaintext = [UInt8](repeating: 0, count: 16 * 1024)
                while case .bytes(let count) = try plaintext.withUnsafeMutableBytes({ try tls.read(into: $0) }) {
                    onHeard(Array(plaintext.prefix(count)))
                    onPlaintext(Array(plaintext.prefix(count)))
                }
            } catch {
                // An alert, after which nothing comes.
            }
        }
    }

    func send(_ plaintext: [UInt8]) {
        guard isEstablished, !plaintext.isEmpty else { return }
        var sealed = [UInt8](repeating: 0, count: TLSConnection.sealedSize(plaintext.count))
        let produced = try? plaintext.withUnsafeBytes { plaintext in
            try sealed.withUnsafeMutableBytes { try tls.write(plaintext, into: $0) }
        }
        toRelay += sealed.prefix(produced ?? 0)
        if produced != nil { onSaid(plaintext) }
        takeOutput()
    }

    func send(ciphertext: [UInt8]) {
        if !ciphertext.isEmpty { onTampering() }
        toRelay += ciphertext
    }

    private func takeOutput() {
        var output = [UInt8](repeating: 0, count: tls.pendingOutput)
        if !output.isEmpty { _ = output.withUnsafeMutableBytes { tls.drainOutput(into: $0) } }
        toRelay += output
    }
}

/// Bytes of a frame as they go on a link.
func encoded(_ header: FrameHeader) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: FrameHeader.size) { buffer, count in
        if let base = buffer.baseAddress { header.write(to: base) }
        count = FrameHeader.size
    }
}

func message(_ body: some Encodable) -> [UInt8] {
    guard let bytes = try? Message.encode(body) else { fail("a message cannot be encoded") }
    return bytes
}

/// A hello that the relay takes, of that role.
func hello(_ role: PeerRole) -> [UInt8] {
    let claims = Claims(
        subject: role == .agent ? "db" : "laptop", issuedAt: TokenFixture.now, expiresAt: TokenFixture.now + 60)
    guard let token = try? TokenIssuer(key: Keyring.Key(secret: TokenFixture.secret)).issue(claims) else {
        fail("no token")
    }
    return message(
        Hello(role: role, token: BearerToken(token), agentID: role == .agent ? AgentID("db") : nil, software: "fuzz"))
}

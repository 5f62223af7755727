import Synchronization
import TLSEngine

/// A `TLSConnection` with what a caller adds: it performs the handshake, reads all that can be read, and keeps what is to be sent.
final class Endpoint {
    let connection: TLSConnection
    private(set) var isEstablished = false
    private(set) var received: [UInt8] = []
    private(set) var isClosed = false
    private(set) var failure: TLSError?
    private var outbox: [UInt8] = []
    private let readSize: Int

    init(
        _ context: TLSContext, serverName: String? = nil, readSize: Int = 16 * 1024,
        recordsPerKey: Int = TLSConnection.defaultRecordsPerKey,
        check: @escaping PeerCheck = { _ in .accept }
    ) throws {
        self.readSize = readSize
        connection = try TLSConnection(
            context: context, serverName: serverName, recordsPerKey: recordsPerKey, check: check)
    }

    /// Begins the handshake, for a client.
    func start() {
        step()
    }

    func receive(_ ciphertext: [UInt8], inPiecesOf size: Int = .max) {
        var rest = ciphertext[...]
        while !rest.isEmpty {
            let piece = rest.prefix(size)
            rest = rest.dropFirst(piece.count)
            piece.withUnsafeBytes { bytes in
                connection.feed(bytes)
                step()
            }
        }
    }

    func send(_ plaintext: [UInt8]) throws {
        var sealed = [UInt8](repeating: 0, count: TLSConnection.sealedSize(plaintext.count))
        let count = try plaintext.withUnsafeBytes { from in
            try sealed.withUnsafeMutableBytes { into in try connection.write(from, into: into) }
        }
        outbox += sealed[..<count]
        outbox += drain()
    }

    func close() {
        connection.close()
    }

    /// All that is to be sent.
    func take() -> [UInt8] {
        defer { outbox = [] }
        return outbox + drain()
    }

    func takeReceived() -> [UInt8] {
        defer { received = [] }
        return received
    }

    private func step() {
        do throws(TLSError) {
            if !isEstablished {
                guard case .established = try connection.handshake() else { return }
                isEstablished = true
            }
            try readAll()
        } catch {
            failure = error
        }
    }

    private func readAll() throws(TLSError) {
        while true {
            let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: readSize, alignment: 1)
            defer { bytes.deallocate() }
            switch try connection.read(into: bytes) {
            case .bytes(let count):
                received += bytes[..<count]
                guard connection.hasInput else { return }
            case .needsInput: return
            case .closed:
                isClosed = true
                return
            }
        }
    }

    private func drain() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: connection.pendingOutput)
        let count = bytes.withUnsafeMutableBytes { connection.drainOutput(into: $0) }
        return Array(bytes[..<count])
    }
}

/// Carries bytes between two endpoints until neither has anything to say.
func converse(_ client: Endpoint, _ server: Endpoint, inPiecesOf size: Int = .max) {
    client.start()
    while true {
        let up = client.take()
        server.receive(up, inPiecesOf: size)
        let down = server.take()
        client.receive(down, inPiecesOf: size)
        if up.isEmpty, down.isEmpty { return }
    }
}

/// Contexts of both roles that speak one protocol, and their identities.
struct Contexts {
    static let alpn = "adit/1"

    let clientIdentity: Identity
    let serverIdentity: Identity
    let client: TLSContext
    let server: TLSContext

    init(clientProtocol: String = alpn, serverProtocol: String = alpn) throws {
        clientIdentity = try Identity.generate(commonName: "client")
        serverIdentity = try Identity.generate(commonName: "server")
        client = try TLSContext(role: .client, identity: clientIdentity, alpn: clientProtocol)
        server = try TLSContext(role: .server, identity: serverIdentity, alpn: serverProtocol)
    }

    /// Two endpoints after their handshake.
    func connected(recordsPerKey: Int = TLSConnection.defaultRecordsPerKey) throws -> (
        client: Endpoint, server: Endpoint
    ) {
        let pair = (
            client: try Endpoint(client, recordsPerKey: recordsPerKey),
            server: try Endpoint(server, recordsPerKey: recordsPerKey)
        )
        converse(pair.client, pair.server)
        guard pair.client.isEstablished, pair.server.isEstablished else {
            throw SystemFailure(message: "\(String(describing: pair.client.failure ?? pair.server.failure))")
        }
        return pair
    }
}

/// What a `PeerCheck` was shown.
final class Witness: Sendable {
    private let seen = Mutex<[PeerCertificate]>([])

    var peers: [PeerCertificate] {
        seen.withLock { $0 }
    }

    func check(answering verdict: PeerVerdict = .accept, askingAuthorities asks: Bool = false) -> PeerCheck {
        { peer in
            self.seen.withLock { $0.append(peer) }
            return asks && peer.authorityVerdict == .notAsked ? .askAuthorities : verdict
        }
    }
}

/// Bytes that no other place of the stream repeats soon, the same in every run.
func sample(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    return (0..<count).map { _ in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return UInt8(truncatingIfNeeded: state >> 32)
    }
}

import TLSEngine
import Wire

/// Shakes hands `count` times: both sides prove a P-256 key and check the other's, as on every link and session.
func shakeHands(_ count: Int) throws {
    let contexts = try Contexts()
    for _ in 0..<count { _ = try TLSPair(contexts) }
}

/// Seals and opens `bulk` pieces of 64 KiB, and `small` pieces of 100 bytes, each a record of its own.
func sealAndOpen(bulk: Int, small: Int) throws {
    let pair = try TLSPair(Contexts())
    let bulkPiece = [UInt8](repeating: 0x5a, count: TLSPair.largestPiece)
    let smallPiece = Array(bulkPiece.prefix(100))
    var opened = bulkPiece
    var received = 0
    for _ in 0..<bulk { received += try pair.carry(bulkPiece, into: &opened) }
    for _ in 0..<small { received += try pair.carry(smallPiece, into: &opened) }
    try WorkDiffers.check(received, is: bulk * bulkPiece.count + small * smallPiece.count, "bytes opened")
}

/// One key for both ends: what it costs to make keys is not counted.
struct Contexts {
    private let client: TLSContext
    private let server: TLSContext

    init() throws {
        let identity = try Identity.generate(commonName: "instruction-counts")
        client = try TLSContext(role: .client, identity: identity, alpn: Protocol.linkALPN)
        server = try TLSContext(role: .server, identity: identity, alpn: Protocol.linkALPN)
    }

    func dialer() throws -> TLSConnection {
        try TLSConnection(context: client, serverName: nil) { _ in .accept }
    }

    func acceptor() throws -> TLSConnection {
        try TLSConnection(context: server, serverName: nil) { _ in .accept }
    }
}

/// A TLS client and a TLS server whose handshake is done.
private final class TLSPair {
    static let largestPiece = 64 * 1024

    private let client: TLSConnection
    private let server: TLSConnection
    private let ciphertext = UnsafeMutableRawBufferPointer.allocate(
        byteCount: TLSConnection.sealedSize(largestPiece), alignment: 16)

    init(_ contexts: Contexts) throws {
        client = try contexts.dialer()
        server = try contexts.acceptor()
        _ = try client.handshake()
        try passHandshake(from: client, to: server)
        try passHandshake(from: server, to: client)
        try passHandshake(from: client, to: server)
        guard client.peer != nil, server.peer != nil else {
            throw WorkDiffers(description: "the handshake took more than three flights")
        }
    }

    deinit {
        ciphertext.deallocate()
    }

    private func passHandshake(from sender: TLSConnection, to receiver: TLSConnection) throws {
        let count = sender.drainOutput(into: ciphertext)
        receiver.feed(UnsafeRawBufferPointer(rebasing: ciphertext.prefix(count)))
        _ = try receiver.handshake()
    }

    /// Takes a piece from the client to the server; how many bytes came out there.
    func carry(_ piece: [UInt8], into opened: inout [UInt8]) throws -> Int {
        let sealed = try piece.withUnsafeBytes { try client.write($0, into: ciphertext) }
        server.feed(UnsafeRawBufferPointer(rebasing: ciphertext.prefix(sealed)))
        return try opened.withUnsafeMutableBytes { opened in
            var received = 0
            while case .bytes(let count) = try server.read(into: opened) { received += count }
            return received
        }
    }
}

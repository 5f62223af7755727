import TLSEngine
import Wire

/// Two TLS engines, and somebody between them who flips, repeats, drops, moves and inserts bytes, before the handshake is
/// done and after. Whatever he does, what comes out of one side is the beginning of what went into the other, and a peer
/// is who it is. If he does nothing, it is all of it.
func tls(_ input: Input) {
    var input = input
    let sides: [Side]
    do {
        sides = [try Side(TLSFixture.client), try Side(TLSFixture.server)]
    } catch {
        fail("\(error)")
    }
    for side in sides { side.take([]) }
    // Most inputs are about what follows the handshake.
    if input.byte() & 1 == 0 {
        for _ in 0..<3 {
            for side in 0...1 { deliver(.max, from: sides[side], to: sides[1 - side]) }
        }
        expect(sides.allSatisfy { $0.isEstablished }, "an undisturbed handshake fails")
    }
    while !input.isEmpty {
        let step = input.byte()
        let near = sides[Int(step >> 7)]
        let far = sides[1 - Int(step >> 7)]
        act(step & 15, &input, near, far)
        for side in sides { side.check(against: side === near ? far : near) }
    }
    for _ in 0...1 {
        for side in 0...1 { deliver(.max, from: sides[side], to: sides[1 - side]) }
    }
    let isDisturbed = sides.contains { $0.isDisturbed }
    for side in 0...1 { sides[side].check(against: sides[1 - side], isDisturbed: isDisturbed) }
}

private func act(_ step: UInt8, _ input: inout Input, _ near: Side, _ far: Side) {
    if (9...14).contains(step) { near.isDisturbed = true }
    switch step {
    case 0...3: deliver(.max, from: near, to: far)
    case 4: deliver(input.integer(bytes: 2), from: near, to: far)
    case 5...7: near.send(input.integer(bytes: 1))
    case 8: near.send(input.integer(bytes: 2))
    case 9:
        guard !near.output.isEmpty else { return }
        let place = input.integer(bytes: 2) % near.output.count
        near.output[place] ^= input.byte()
    case 10: near.output += near.output.prefix(1 << 16)
    case 11: near.output.removeFirst(min(near.output.count, input.integer(bytes: 2)))
    case 12: near.output.removeLast(min(near.output.count, input.integer(bytes: 2)))
    case 13:
        let place = min(near.output.count, input.integer(bytes: 2))
        near.output = Array(near.output[place...] + near.output[..<place])
    case 14: near.output += input.take(input.integer(bytes: 1))
    default: near.connection.close()
    }
    near.gather()
}

private func deliver(_ count: Int, from near: Side, to far: Side) {
    near.gather()
    let bytes = Array(near.output.prefix(count))
    near.output.removeFirst(bytes.count)
    far.take(bytes)
    far.gather()
}

private enum TLSFixture {
    static let identities = [identity(), identity()]
    static let client = context(.client, identities[0])
    static let server = context(.server, identities[1])

    private static func identity() -> Identity {
        guard let identity = try? Identity.generate(commonName: "fuzz") else { fail("no identity") }
        return identity
    }

    private static func context(_ role: TLSContext.Role, _ identity: Identity) -> TLSContext {
        guard let context = try? TLSContext(role: role, identity: identity, alpn: Protocol.linkALPN) else {
            fail("no context")
        }
        return context
    }
}

/// One engine, with what it has sent and received.
private final class Side {
    let connection: TLSConnection
    private let peerKey: Fingerprint
    /// Ciphertext on its way.
    var output: [UInt8] = []
    /// Not all of that is, or was, what the engine put out.
    var isDisturbed = false
    private var sent = 0
    private var received = 0
    private(set) var isEstablished = false
    private var hasFailed = false

    init(_ context: TLSContext) throws(TLSError) {
        peerKey = TLSFixture.identities[context === TLSFixture.client ? 1 : 0].fingerprint
        connection = try TLSConnection(context: context, serverName: nil, recordsPerKey: 3) { _ in .accept }
    }

    func take(_ bytes: [UInt8]) {
        guard !hasFailed else { return }
        bytes.withUnsafeBytes { bytes in
            connection.feed(bytes)
            do throws(TLSError) {
                if !isEstablished {
                    guard try connection.handshake() == .established else { return }
                    isEstablished = true
                    expect(connection.peer?.fingerprint == peerKey, "the peer is somebody else")
                }
                try read()
            } catch {
                hasFailed = true
                if case .misuse(let reason) = error { fail(reason) }
                if case .environment(let reason) = error { fail(reason) }
            }
        }
    }

    private func read() throws(TLSError) {
        var plaintext = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let result: TLSConnection.ReadResult
            do {
                result = try plaintext.withUnsafeMutableBytes { try connection.read(into: $0) }
            } catch let error as TLSError {
                throw error
            } catch {
                fail("\(error)")
            }
            guard case .bytes(let count) = result else { return }
            for byte in plaintext.prefix(count) {
                expect(byte == UInt8(truncatingIfNeeded: received &* 7), "byte \(received) is not what was sent")
                received += 1
            }
        }
    }

    func send(_ count: Int) {
        guard isEstablished, !hasFailed, count > 0 else { return }
        let plaintext = (0..<count).map { UInt8(truncatingIfNeeded: (sent + $0) &* 7) }
        var sealed = [UInt8](repeating: 0, count: TLSConnection.sealedSize(count))
        do {
            let produced = try plaintext.withUnsafeBytes { plaintext in
                try sealed.withUnsafeMutableBytes { try connection.write(plaintext, into: $0) }
            }
            output += sealed.prefix(produced)
            sent += count
        } catch TLSError.misuse("write after close") {
        } catch {
            hasFailed = true
        }
    }

    /// What the engine wants sent besides.
    func gather() {
        let start = output.count
        let count = connection.pendingOutput
        guard count > 0 else { return }
        output += [UInt8](repeating: 0, count: count)
        let moved = output.withUnsafeMutableBytes {
            connection.drainOutput(into: UnsafeMutableRawBufferPointer(rebasing: $0[start...]))
        }
        expect(moved == count, "\(moved) of \(count) bytes drained")
    }

    func check(against far: Side) {
        expect(received <= far.sent, "\(received) bytes received, \(far.sent) sent")
    }

    /// In the end.
    func check(against far: Side, isDisturbed: Bool) {
        check(against: far)
        guard !isDisturbed else { return }
        expect(!hasFailed && received == far.sent, "\(received) of \(far.sent) bytes came though nobody disturbed them")
    }
}

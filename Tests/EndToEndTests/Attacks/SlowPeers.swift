import TLSEngine
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Peers who say what they have to say a byte at a time, and would be at it for hours.
enum Loris: CaseIterable, Sendable {
    case duringTheHandshake, duringTheHello, duringATunnelRequest, duringASessionHello, duringAForwardRequest

    /// Returns when the other side has had enough of it.
    func creep(_ scene: HonestScene) throws {
        switch self {
        case .duringTheHandshake:
            let socket = try Connection(to: scene.relay.port)
            // The beginning of a ClientHello of 512 bytes.
            try drip([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3] + Array(repeating: 7, count: 400)) {
                try socket.send([$0])
            }
        case .duringTheHello:
            let line = try FrameLine.dialed(to: scene.relay)
            try line.send(.update(1, flags: Frame.syn))
            try drip(message(String(repeating: " ", count: 400))) { try line.send(.data([$0], on: 1)) }
        case .duringATunnelRequest:
            let line = try FrameLine.client(at: scene.relay, in: scene.site)
            try creep(on: 3, of: line)
        case .duringASessionHello:
            let line = try FrameLine.client(at: scene.relay, in: scene.site)
            try line.openTunnel()
            let session = try line.session(on: 3, role: .client, identity: .generate(commonName: "loris"))
            try session.start()
            try creep(on: 1, of: session)
        case .duringAForwardRequest:
            let line = try FrameLine.client(at: scene.relay, in: scene.site)
            try creep(on: 3, of: line.openSession())
        }
    }

    private func creep(on stream: UInt32, of line: FrameLine) throws {
        try line.send(.update(stream, flags: Frame.syn))
        try drip(message(String(repeating: " ", count: 400))) { byte in
            try line.send(.data([byte], on: stream))
            if line.frames.contains(where: { $0.stream == stream && $0.flags & Frame.reset != 0 }) {
                throw ProcessError("reset")
            }
        }
    }

    private func drip(_ bytes: [UInt8], _ send: (UInt8) throws -> Void) throws {
        for byte in bytes {
            do { try send(byte) } catch { return }
            poll(nil, 0, 250)
        }
        throw ProcessError("nobody minded")
    }
}

@Suite struct `a slow loris` {
    /// Each kind at the same time: together they take as long as the slowest.
    @Test func `is cut off within 25 s, and nobody else notices`() throws {
        let scene = try HonestScene()
        let ends = Loris.allCases.map { loris in
            (loris: loris, end: Background { try elapsed { try loris.creep(scene) } })
        }
        for (loris, end) in ends {
            let time = try end.value(within: .seconds(60))
            #expect(time < .seconds(25), "\(loris)")
            #expect(time > .seconds(1), "\(loris)")
        }
        try scene.honest.check()
    }
}

import Testing
import Wire

@testable import Mux

/// Against the reference: hashicorp/yamux, as the acceptor and as the dialer.
@Suite("With hashicorp/yamux")
struct HashicorpInteropTests {
    private static let roles: [Session.Role] = [.dialer, .acceptor]

    @Test("what is sent comes back", arguments: roles)
    func echo(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("echo")
        let sent = pattern(100_000)
        try peer.write(sent, on: id)
        try peer.finish(id)
        #expect(try peer.readToEnd(id) == sent)
        #expect(!peer.session.isOpen(id))
        #expect(peer.hangUp() == 0)
    }

    @Test("many streams of ours at once, each beyond its window", arguments: roles)
    func ourStreams(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let sent = pattern(400_000)
        let ids = try (0..<20).map { _ in try peer.open("echo") }
        for id in ids { try peer.write(sent, on: id) }
        for id in ids { try peer.finish(id) }
        for id in ids { #expect(try peer.readToEnd(id) == sent) }
        #expect(peer.session.streamCount == 0)
        #expect(peer.hangUp() == 0)
    }

    @Test("many streams of the peer's at once, each beyond its window", arguments: roles)
    func theirStreams(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        #expect(try peer.ask("open 20 400000") == "ok")
        #expect(peer.hangUp() == 0)
    }

    @Test("more streams than the peer's backlog, one after the other", arguments: roles)
    func manyStreams(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        for round in 0..<400 {
            let id = try peer.open("echo")
            try peer.write([UInt8(truncatingIfNeeded: round)], on: id)
            try peer.finish(id)
            #expect(try peer.readToEnd(id) == [UInt8(truncatingIfNeeded: round)])
        }
        #expect(peer.session.streamCount == 0)
        // All that is open there is the stream that asks. The peer forgets a stream a little after its last FIN.
        var open = ""
        for _ in 0..<1000 where open != "1" { open = try peer.ask("streams") }
        #expect(open == "1")
        #expect(peer.hangUp() == 0)
    }

    @Test("our half-close lets the answer through", arguments: roles)
    func ourHalfClose(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("answer")
        try peer.write(Array("123456789".utf8), on: id)
        try peer.finish(id)
        // CRC-32 of the nine digits is the algorithm's published check value.
        #expect(String(decoding: try peer.readToEnd(id), as: UTF8.self) == "9 cbf43926\n")
        #expect(peer.hangUp() == 0)
    }

    @Test("the peer's half-close lets our answer through", arguments: roles)
    func theirHalfClose(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        peer.service = .count
        #expect(try peer.ask("ask 300000") == "300000")
        #expect(peer.hangUp() == 0)
    }

    @Test("our reset is a reset there, and the session goes on", arguments: roles)
    func ourReset(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("expect-reset")
        try peer.write(pattern(1000), on: id)
        try peer.wait { peer.session.streams[id]?.acknowledgement == .done }
        try peer.reset(id)
        // The peer's reader and its next command run side by side, so the answer may take more than one question.
        var answer = ""
        for _ in 0..<1000 where answer != "connection reset" { answer = try peer.ask("last-error") }
        #expect(answer == "connection reset")
        #expect(peer.hangUp() == 0)
    }

    @Test("streams beyond the peer's backlog are reset here, the others accepted", arguments: roles)
    func backlog(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let stall = try peer.open("stall")
        try peer.wait { !peer.stream(stall).received.isEmpty }
        let ids = try (0..<300).map { _ in try peer.openSilently() }
        try peer.wait { ids.count { peer.stream($0).wasReset } == 44 }
        #expect(ids.prefix(256).allSatisfy { peer.session.isOpen($0) })
        #expect(ids.suffix(44).allSatisfy { !peer.session.isOpen($0) })
        try peer.finish(stall)
        for id in ids.prefix(256) {
            try peer.write(Array("streams\n".utf8), on: id)
            #expect(!(try peer.readToEnd(id)).isEmpty)
        }
        #expect(peer.hangUp() == 0)
    }

    @Test("a stream carries far more than its window, and the window grows", arguments: roles)
    func flood(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("source 8388608")
        #expect(try peer.readToEnd(id) == pattern(8_388_608))
        #expect(peer.largestWindow >= 2 * Protocol.initialWindow)
        #expect(peer.hangUp() == 0)
    }

    @Test("a flood of ours stays within the peer's window", arguments: roles)
    func ourFlood(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("echo")
        let sent = pattern(4_194_304)
        try peer.write(sent, on: id)
        try peer.finish(id)
        #expect(try peer.readToEnd(id) == sent)
        #expect(peer.hangUp() == 0)
    }

    @Test("data beyond its window makes the peer end the session", arguments: roles)
    func violation(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("echo")
        // The peer leaves the stream's lock taken when it finds such data. So its main goroutine, which reads the command,
        // must be done with the stream by then, or it waits for that lock and the process never ends.
        try peer.write([1], on: id)
        try peer.wait { peer.stream(id).received == [1] }
        try peer.sendRaw(FrameHeader(.data, streamID: id, length: 400_000), payload: [])
        // It hangs up, or else nothing comes and this throws. Its go-away may be overtaken by its hanging up.
        while try peer.receive() {}
        #expect([[], [.protocolError]].contains(peer.goAways))
        #expect(peer.hangUp() == 0)
    }

    @Test("pings are answered both ways", arguments: roles)
    func ping(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        for value: UInt32 in [0, 7, 0x7fff_ffff] { try peer.ping(value) }
        try peer.wait { peer.pongs.count == 3 }
        // The peer answers each in a goroutine of its own.
        #expect(peer.pongs.sorted() == [0, 7, 0x7fff_ffff])
        #expect(try peer.ask("ping") == "ping <nil>")
        #expect(peer.hangUp() == 0)
    }

    @Test("the peer's go-away stops new streams here, and what is open goes on", arguments: roles)
    func theirGoAway(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("go-away")
        try peer.wait { peer.stream(id).received.count >= 14 }
        #expect(peer.goAways == [.normal])
        #expect(throws: OpenError.sessionEnding) { try peer.openSilently() }
        try peer.write(Array("still here".utf8), on: id)
        try peer.finish(id)
        #expect(String(decoding: try peer.readToEnd(id), as: UTF8.self) == "go-away <nil>\nstill here")
        #expect(peer.hangUp() == 0)
    }

    @Test("our go-away stops new streams there, and what is open goes on", arguments: roles)
    func ourGoAway(role: Session.Role) throws {
        let peer = try HashicorpPeer(role: role)
        let id = try peer.open("open 1 10")
        let other = try peer.open("echo")
        _ = try peer.readToEnd(id)
        let late = try peer.openSilently()
        try peer.goAway()
        try peer.write(Array("open 1 10\n".utf8), on: late)
        #expect(
            String(decoding: try peer.readToEnd(late), as: UTF8.self) == "remote end is not accepting connections\n")
        try peer.write([1, 2, 3], on: other)
        try peer.finish(other)
        #expect(try peer.readToEnd(other) == [1, 2, 3])
        #expect(peer.hangUp() == 0)
    }

    /// What the peer's `pattern` makes.
    private func pattern(_ size: Int) -> [UInt8] {
        let block = (0..<65521).map { UInt8(truncatingIfNeeded: ($0 &* 31) ^ ($0 >> 8)) }
        var bytes: [UInt8] = []
        while bytes.count < size { bytes += block.prefix(size - bytes.count) }
        return bytes
    }
}

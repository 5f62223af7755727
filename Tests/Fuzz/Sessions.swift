import Logging
import NIOEmbedded
import TLSEngine
import Wire

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

enum SessionFixture {
    /// One for all inputs: the loop's memory belongs to the thread.
    static let eventLoop = EmbeddedEventLoop()
    static let own = identity()
    static let relay = identity()
    static let target = HostPort(host: "localhost", port: 5432)
    static let stranger = HostPort(host: "localhost", port: 22)
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

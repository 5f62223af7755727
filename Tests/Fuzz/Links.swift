import Wire

/// A relay with two links, one to an honest peer and one to a hostile one, who are agent and client or the other way
/// round. Whatever the hostile one sends, on the link or into a tunnel, the relay keeps every rule of PROTOCOL §3 towards
/// the honest one, whose link lives on, and the books of what goes through it balance (`Ledger`).
func links(_ input: Input) {
    var input = input
    let setup = input.byte()
    let relay = RelayFixture()
    let ends = [relay.link(.honest), relay.link(.hostile)]
    let honest = HonestPeer(ends[0], role: setup & 1 == 0 ? .agent : .client)
    let hostile = HostilePeer(ends[1], role: setup & 1 == 0 ? .client : .agent)
    let ledger = Ledger(ends, honestRole: setup & 1 == 0 ? .agent : .client)
    relay.settle()
    // Most inputs are about what an admitted peer may do.
    honest.sayHello()
    if setup & 6 != 6 { hostile.sayHello(0) }
    relay.settle()
    while !input.isEmpty {
        act(&input, honest, hostile)
        relay.settle()
        honest.check()
        ledger.check()
    }
    hostile.reads(true)
    relay.settle()
    honest.check()
    ledger.check()
    relay.end()
}

private func act(_ input: inout Input, _ honest: HonestPeer, _ hostile: HostilePeer) {
    let step = input.byte()
    switch step & 15 {
    case 0...3:
        let kinds: [FrameHeader.Kind] = [.data, .windowUpdate, .ping, .goAway]
        let kind = kinds[Int(step & 3)]
        let header = FrameHeader(
            kind, flags: .init(rawValue: UInt16(input.byte())), streamID: StreamID(UInt32(input.byte())),
            length: UInt32(truncatingIfNeeded: input.integer(bytes: Int(step >> 6) + 1)))
        hostile.send(header, payloadCount: header.payloadLength)
    case 4: hostile.send(plaintext: Array(input.take(input.integer(bytes: 1))))
    case 5: hostile.sayHello(Int(step >> 4))
    case 6: hostile.send(message: Array(input.line()), on: StreamID(UInt32(input.byte())), opens: step & 16 != 0)
    case 7: hostile.sayRight(on: StreamID(UInt32(input.byte())))
    case 8, 9: honest.open()
    case 10: honest.send(input.integer(bytes: 3), on: input.byte())
    case 11: honest.finish(input.byte())
    case 12: honest.reset(input.byte())
    case 13: hostile.reads(step & 16 != 0)
    case 14: hostile.send(ciphertext: Array(input.take(input.integer(bytes: 1))))
    // A large piece, as a bulk transfer has it.
    default:
        let header = FrameHeader(.data, streamID: StreamID(UInt32(input.byte())), length: UInt32(input.byte()) << 12)
        hostile.send(header, payloadCount: header.payloadLength)
    }
}

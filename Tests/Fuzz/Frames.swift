import Wire

@testable import Mux

/// A session in either role, fed frames and asked for things, against the reference: each frame must have the outcome
/// that PROTOCOL §3 gives it, and after each step the session's books must agree with the reference's.
func frames(_ input: Input) {
    var input = input
    let setup = input.byte()
    let limits = Limits(
        streams: 1 + Int(setup >> 4), unacceptedStreams: 1 + Int(setup >> 2 & 3),
        growthBudget: setup & 2 == 0 ? 0 : 700_000, largestWindow: 3 * Protocol.initialWindow)
    let role: Session.Role = setup & 1 == 0 ? .acceptor : .dialer
    var session = Session(role: role, limits: limits, secret: 1)
    var reference = Reference(isDialer: role == .dialer, limits: limits)
    var now: Int64 = 0
    while !input.isEmpty {
        now += 1 << Int64(input.byte() % 32)
        let step = input.byte()
        if step < 160 {
            guard let header = frame(step, &input), receive(header, &session, &reference) else { return }
        } else {
            act(step, &input, &session, &reference, now)
        }
        compare(session, reference, limits)
    }
}

/// A frame as it comes, or one that has a chance. Nil for bytes that are no header.
private func frame(_ step: UInt8, _ input: inout Input) -> FrameHeader? {
    if step < 16 {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        for (index, byte) in input.take(FrameHeader.size).enumerated() { bytes[index] = byte }
        guard let header = bytes.withUnsafeBytes({ try? FrameHeader($0) }) else { return nil }
        let written = [UInt8](unsafeUninitializedCapacity: FrameHeader.size) { buffer, count in
            if let base = buffer.baseAddress { header.write(to: base) }
            count = FrameHeader.size
        }
        expect(written == bytes, "\(header) is not written as it was read")
        return header
    }
    let kinds: [FrameHeader.Kind] = [.data, .data, .windowUpdate, .windowUpdate, .ping, .goAway, .data, .windowUpdate]
    let kind = kinds[Int(step & 7)]
    let isOfSession = kind == .ping || kind == .goAway
    return FrameHeader(
        kind, flags: .init(rawValue: UInt16(input.byte() & 15)),
        streamID: StreamID(isOfSession ? 0 : UInt32(input.byte())),
        length: UInt32(truncatingIfNeeded: input.integer(bytes: Int(step >> 3 & 3) + 1)))
}

/// False when the session is over.
private func receive(_ header: FrameHeader, _ session: inout Session, _ reference: inout Reference) -> Bool {
    let expected = reference.receive(header)
    do throws(SessionError) {
        let action = try session.receive(header)
        expect(action == expected, "\(header): \(action), expected \(String(describing: expected))")
        return true
    } catch {
        expect(expected == nil, "\(header): \(error), expected \(String(describing: expected))")
        return false
    }
}

private func act(
    _ step: UInt8, _ input: inout Input, _ session: inout Session, _ reference: inout Reference, _ now: Int64
) {
    let id = StreamID(UInt32(input.byte()))
    switch step % 9 {
    case 0:
        let opened = try? session.open().0
        expect(opened == reference.open(), "opened \(String(describing: opened))")
    case 1:
        expect((session.accept(id) != nil) == reference.accept(id), "accepting \(id)")
    case 2:
        let count = input.integer(bytes: 3)
        let header = session.send(id, count: count)
        expect((header != nil) == reference.send(id, count), "sending \(count) on \(id)")
    case 3:
        // The handler never gives back more than it was given.
        let count = min(input.integer(bytes: 3), reference.streams[id]?.unread ?? 0)
        let update = session.consumed(id, count: count, now: now)
        reference.consumed(id, count, givenBack: Int(update?.length ?? 0))
    case 4:
        expect((session.finish(id) != nil) == reference.finish(id), "finishing \(id)")
    case 5:
        expect((session.reset(id) != nil) == reference.reset(id), "resetting \(id)")
    case 6:
        let count = input.integer(bytes: 2)
        expect((session.grant(id, count: count) != nil) == reference.grant(id, count), "granting \(count) on \(id)")
    case 7:
        session.measured(roundTrip: Int64(input.integer(bytes: 4)))
        session.measured(roundTrip: Int64(input.integer(bytes: 4)), carriedOn: id)
    default:
        guard input.byte() == 0 else { return }
        _ = session.goAway(.normal)
        reference.isEnding = true
    }
}

private func compare(_ session: Session, _ reference: Reference, _ limits: Limits) {
    expect(session.streams.count == reference.streams.count, "streams differ")
    expect(session.streams.values.count == reference.streams.count, "streams are there that are not counted")
    expect(session.streamCount <= limits.streams, "\(session.streamCount) streams")
    expect(session.unaccepted == reference.streams.values.count { $0.isOwedAcceptance }, "unaccepted streams differ")
    expect(session.unaccepted <= limits.unacceptedStreams, "\(session.unaccepted) unaccepted streams")
    var grown = 0
    for (id, book) in reference.streams {
        guard let stream = session.streams[id] else { fail("stream \(id) is missing") }
        let window = stream.receiveWindow
        expect(stream.sendCredit == book.sendCredit, "credit to send on \(id)")
        expect(session.sendCredit(id) == (book.hasFinished ? 0 : book.sendCredit), "credit to send on \(id)")
        expect(window.remaining == book.remaining && window.remaining >= 0, "window of \(id)")
        expect(window.remaining + book.unread + window.owed == window.size + book.granted, "credit of \(id) leaked")
        expect(window.size <= limits.largestWindow, "window of \(id): \(window.size)")
        grown += window.size - Protocol.initialWindow
    }
    expect(session.grown == grown && grown <= limits.growthBudget, "grown by \(session.grown), \(grown)")
}

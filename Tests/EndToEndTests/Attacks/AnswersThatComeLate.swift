import TLSEngine
import TestSupport
import Testing

@Suite(.serialized) struct `a forward whose answer comes late` {
    /// connect has stopped reading from its user by then; the room that comes before the answer must not be forgotten.
    @Test func `goes on when there was room before the answer`() throws {
        let site = try Site()
        let relay = try site.relay()
        let identity = try Identity.generate(commonName: "late")
        let agent = try FrameLine.agent("late", at: relay, in: site, identity: identity)
        let total = 4 << 20
        let received = Monitor(0)
        agent.listen({ frame in
            guard frame.isData(on: frame.stream), frame.stream > 1,
                String(decoding: frame.payload.prefix(18), as: UTF8.self).contains("client_address"),
                let session = try? agent.session(on: frame.stream, role: .server, identity: identity)
            else { return }
            session.listen({ inner in
                if inner.isData(on: 1) {
                    try? session.send(
                        .data(message(#"{"accepted":{"target":"localhost:1"}}"#), on: 1, flags: Frame.ack))
                } else if inner.isData(on: 3) {
                    let before = received.change { count in
                        defer { count += inner.payload.count }
                        return count
                    }
                    let after = before + inner.payload.count
                    // The window's end: room for all the rest, and the answer only once some of that has come.
                    if before < 262_144, after >= 262_144 { try? session.send(.update(3, credit: 8 << 20)) }
                    if before <= 262_144, after > 262_144 {
                        try? session.send(.data(message(#"{"accepted":{}}"#), on: 3, flags: Frame.ack))
                    }
                }
            })
            try? agent.send(
                .update(frame.stream, flags: Frame.ack, credit: frame.length),
                .data(message(#"{"accepted":{}}"#), on: frame.stream))
        })
        let connect = try site.connect(to: "late", at: relay.address)
        let user = try Connection(to: connect.waitForTunnel())
        try user.send(Array(repeating: 5, count: total))
        // The request is among them.
        #expect(received.wait(within: Process.patience) { $0 > total ? () : nil } != nil)
    }
}

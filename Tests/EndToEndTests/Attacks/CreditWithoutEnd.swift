import TestSupport
import Testing

/// All that an agent may send, at once: a window of 4 GiB, granted by somebody who then reads nothing.
@Suite(.serialized) struct `a hostile client that grants 4 GiB and reads nothing` {
    private static let total = 96 << 20
    /// In bytes: the largest window, what the kernel takes for a peer that does not read, and what the allocator does not give back.
    private static let mostHeld = 32 << 20

    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel
    private let agents: [Sender]

    init() throws {
        site = try Site()
        let relay = try site.relay()
        self.relay = relay
        honest = try HonestTunnel(in: site, at: relay)
        let site = site
        // Links are dealt to event loops in turn: one of the two is on another than the client's.
        agents = try (0...1).map { try Sender("sender-\($0)", Self.total, at: relay, in: site) }
    }

    @Test(arguments: [0, 1])
    func `is held one window, and gets the rest when it reads again`(index: Int) throws {
        let client = try FrameLine.client(of: ["sender-*"], at: relay, in: site, receiveBuffer: 64 << 10)
        for (number, agent) in agents.enumerated() { try client.openTunnel(to: agent.id, on: UInt32(3 + 2 * number)) }
        let stream = UInt32(3 + 2 * index)
        let received = Monitor(Result<Pattern, any Error>.success(Pattern()))
        client.listen({ frame in
            guard frame.isData(on: stream) else { return }
            received.change { state in
                state = Result {
                    var pattern = try state.get()
                    try pattern.expect(frame.payload)
                    return pattern
                }
            }
        })
        client.pauseReading()
        let sender = agents[index]
        try relay.process.stays(within: Self.mostHeld) {
            try client.send(.update(stream, credit: .max - (1 << 20)))
            try sender.begin()
            #expect(sender.sent.wait(within: Process.patience) { $0 >= 15 << 20 ? () : nil } != nil)
            var before = 0
            while case let now = sender.sent.change({ $0 }), now > before {
                before = now
                for _ in 0..<200 { try honest.check() }
                // A sign of life, which asks for no answer.
                try client.send(.update(stream))
            }
            #expect(before <= Self.mostHeld)
        }
        client.resumeReading()
        let end = received.wait(within: Process.patience) { state -> Result<Pattern, any Error>? in
            if case .success(let pattern) = state, pattern.count < Self.total { return nil }
            return state
        }
        let count = try (end ?? received.change { $0 }).get().count
        #expect(count == Self.total, "\(sender.sent.change { $0 }) bytes were sent")
        try honest.check()
    }
}

/// An agent that says as much as it may on the tunnel that `begin` names, and keeps to the credit it has.
private final class Sender: Sendable {
    let id: String
    /// Bytes it has sent.
    let sent = Monitor(0)
    private let line: FrameLine
    private let total: Int
    private let tunnel = Monitor<UInt32?>(nil)
    /// A little less than there is at first: the answer is paid from it too.
    private let credit = Monitor(200_000)

    init(_ id: String, _ total: Int, at relay: Relay, in site: Site) throws {
        self.id = id
        self.total = total
        line = try FrameLine.agent(id, at: relay, in: site)
        line.listen({ [line, credit, tunnel] frame in
            guard frame.stream > 1 else { return }
            if frame.type == Frame.windowUpdate { credit.change { $0 += Int(frame.length) } }
            guard frame.type == Frame.data else { return }
            try? line.send(.update(frame.stream, flags: Frame.ack, credit: frame.length))
            try? line.send(.data(message(#"{"accepted":{}}"#), on: frame.stream))
            tunnel.change { $0 = frame.stream }
        })
    }

    func begin() throws {
        guard let stream = tunnel.change({ $0 }) else { throw ProcessError("no tunnel has come") }
        startThread { [line, credit, sent, total] in
            var pattern = Pattern()
            while pattern.count < total {
                guard let room = credit.wait(within: .seconds(600), { $0 > 0 ? $0 : nil }) else { return }
                let bytes = pattern.next(atMost: min(room, 65_536, total - pattern.count))
                do { try line.send(.data(bytes, on: stream)) } catch { return }
                credit.change { $0 -= bytes.count }
                sent.change { $0 += bytes.count }
            }
        }
    }
}

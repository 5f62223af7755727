import TestSupport
import Testing

/// Several agents, so that some of their links are on another event loop than others, whichever way they were dealt. The
/// first tunnel of a client moves its link to the agent's event loop; the others then go between two.
@Suite(.serialized) struct `a client's link that moves between event loops` {
    private static let ids = (0..<6).map { "agent-\($0)" }

    private let site: Site
    private let relay: Relay
    private let agents: [FrameLine]

    init() throws {
        site = try Site()
        let relay = try site.relay()
        self.relay = relay
        let site = site
        agents = try Self.ids.map { id in
            let agent = try FrameLine.agent(id, at: relay, in: site)
            // Accepts each tunnel, then gives back what it is told.
            agent.listen({ frame in
                guard frame.type == Frame.data, frame.stream > 1, !frame.payload.isEmpty else { return }
                let isOffer = String(decoding: frame.payload.prefix(18), as: UTF8.self).contains("client_address")
                try? agent.send(.update(frame.stream, flags: isOffer ? Frame.ack : 0, credit: frame.length))
                try? agent.send(
                    .data(isOffer ? message(#"{"accepted":{}}"#) : frame.payload, on: frame.stream))
            })
            return agent
        }
    }

    private func request(_ index: Int, on stream: UInt32) -> Frame {
        .data(message(#"{"agent_id":"\#(Self.ids[index])"}"#), on: stream, flags: Frame.syn)
    }

    private func request(_ index: Int) -> Frame { request(index, on: UInt32(3 + 2 * index)) }

    private func hello() throws -> Frame {
        let token = try text(of: site.token(subject: "mover", role: "client", agents: ["agent-*"]))
            .split(separator: "\n")[0]
        return .data(
            message(#"{"role":"client","software":"test","token":"\#(token)","version":1}"#), on: 1, flags: Frame.syn)
    }

    private func mover() throws -> FrameLine {
        try FrameLine.client("mover", of: ["agent-*"], at: relay, in: site)
    }

    @Test func `has tunnels to several agents, on its own loop and on others`() throws {
        let client = try mover()
        for index in agents.indices {
            try client.openTunnel(to: Self.ids[index], on: UInt32(3 + 2 * index))
        }
        for index in agents.indices {
            let word = Array("word \(index)".utf8)
            try client.send(.data(word, on: UInt32(3 + 2 * index)))
            try client.awaitFrame("its echo") { $0.stream == 3 + 2 * index && $0.payload == word }
        }
    }

    @Test func `has every request answered that was on its way behind the hello`() throws {
        for _ in 0..<20 {
            let client = try FrameLine.dialed(to: relay)
            try client.send(plaintext: ([hello()] + agents.indices.map(request)).flatMap(\.bytes))
            try client.awaitAnswer(on: 1)
            for index in agents.indices { try client.awaitAnswer(on: UInt32(3 + 2 * index)) }
            client.drop()
        }
    }

    @Test func `has its data refused that was on its way before the agent's answer`() throws {
        for _ in 0..<20 {
            let client = try FrameLine.dialed(to: relay)
            try client.send(
                plaintext: ([hello(), request(0), .data([1, 2, 3], on: 3), request(1)]).flatMap(\.bytes))
            try client.awaitFrame("a reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
            try client.awaitAnswer(on: 5)
            client.drop()
        }
    }

    @Test func `may end or give up its tunnel in the middle of the move, and leaves nothing behind`() throws {
        let descriptors = try names(in: "/proc/\(relay.process.processID)/fd").count
        for round in 0..<100 {
            let client = try FrameLine.dialed(to: relay)
            let stream = UInt32(3 + 2 * (round % 6))
            let more: [Frame] = round % 2 == 0 ? [] : [.update(stream, flags: Frame.reset), request(1, on: 99)]
            try client.send(plaintext: ([hello(), request(round % 6)] + more).flatMap(\.bytes))
            // Half of them go before the relay can have answered.
            if round % 4 > 1 { try client.awaitAnswer(on: 1) }
            client.drop()
        }
        #expect(try eventually { try names(in: "/proc/\(relay.process.processID)/fd").count <= descriptors })
        let client = try mover()
        try client.openTunnel(to: Self.ids[0])
        #expect(agents.allSatisfy { $0.end == nil })
    }

    @Test func `has the end of each tunnel passed on both ways, between two loops too`() throws {
        let client = try mover()
        for index in agents.indices {
            let stream = UInt32(3 + 2 * index)
            try client.openTunnel(to: Self.ids[index], on: stream)
            try client.send(.data(Array("last words".utf8), on: stream, flags: Frame.fin))
            let end = try agents[index].awaitFrame("the client's end") { $0.flags & Frame.fin != 0 }
            // Behind everything that was said.
            try agents[index].awaitFrame("what came before") { $0.payload == Array("last words".utf8) }
            try agents[index].send(.update(end.stream, flags: Frame.fin))
            try client.awaitFrame("the agent's end") { $0.stream == stream && $0.flags & Frame.fin != 0 }
            try relay.process.errors.waitForLine(
                containing: "agent-id=\(Self.ids[index]), ip=127.0.0.1, reason=finished by both sides")
        }
    }
}

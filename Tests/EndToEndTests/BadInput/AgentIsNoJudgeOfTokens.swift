import TestSupport
import Testing

/// An agent that answers every tunnel request with one refusal.
private struct RefusingAgent {
    private let client: HostileClient

    init(in site: Site, at relay: Relay) throws {
        client = try HostileClient(to: relay, in: site)
        let token = try text(of: site.token(subject: "db", role: "agent")).split(separator: "\n")[0]
        let hello = #"{"version":1,"role":"agent","agent_id":"db","token":"\#(token)","software":"test"}"#
        try client.send(.data(message(hello), on: 1, flags: Frame.syn))
        try client.awaitFrame("a welcome") { $0.stream == 1 && $0.type == Frame.data }
    }

    /// Refuses the tunnel that is offered on a stream.
    func refuse(with code: String, on stream: UInt32) throws {
        try client.awaitFrame("an offer") { $0.stream == stream && $0.type == Frame.data }
        let offer = client.received.filter { $0.stream == stream }.reduce(0) { $0 + $1.payload.count }
        let acknowledgement: UInt16 = 2
        try client.send(
            Frame(type: Frame.windowUpdate, flags: acknowledgement, stream: stream, length: UInt32(offer)),
            .data(message(#"{"refused":{"code":"\#(code)","message":"says the agent"}}"#), on: stream))
    }
}

@Suite(.serialized) struct `an agent that refuses a tunnel` {
    private let site: Site
    private let relay: Relay

    init() throws {
        site = try Site()
        relay = try site.relay()
    }

    @Test(arguments: ["authentication_failed", "wrong_role", "replaced", "target_forbidden", "no_such_code"])
    func `in words that are not an agent's has connect try again`(code: String) throws {
        let agent = try RefusingAgent(in: site, at: relay)
        let connect = try site.connect(at: relay.address)
        for (occurrence, stream) in [(1, 2), (2, 4)] {
            try agent.refuse(with: code, on: UInt32(stream))
            try connect.errors.waitForLine(
                containing: "Disconnected: says the agent; trying again in ", occurrence: occurrence)
        }
        #expect(connect.end == nil)
    }

    @Test func `because it does not take the client ends connect`() throws {
        let agent = try RefusingAgent(in: site, at: relay)
        let connect = try site.connect(at: relay.address)
        try agent.refuse(with: "client_forbidden", on: 2)
        #expect(try connect.wait() == .exited(77))
        #expect(connect.errors.lines.contains("adit: says the agent"))
    }
}

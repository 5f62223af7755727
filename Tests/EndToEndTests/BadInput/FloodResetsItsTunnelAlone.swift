import TestSupport
import Testing

@Suite(.serialized) struct `a client that sends beyond the window` {
    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }

    @Test func `has that tunnel reset, and nobody else notices`() throws {
        let client = try HostileClient(to: relay, in: site)
        let token = try text(of: site.token(subject: "flooder", role: "client", agents: ["honest"]))
            .split(separator: "\n")[0]
        let hello = #"{"version":1,"role":"client","token":"\#(token)","software":"test"}"#
        try client.send(.data(message(hello), on: 1, flags: Frame.syn))
        try client.awaitFrame("a welcome") { $0.stream == 1 && $0.type == Frame.data }
        try client.send(.data(message(#"{"agent_id":"honest"}"#), on: 3, flags: Frame.syn))
        try client.awaitFrame("a tunnel") { $0.stream == 3 && $0.type == Frame.data }

        // The agent takes a record of this length for the beginning of a handshake, and waits for the rest of it.
        try client.send(.data([22, 3, 3, 0x40, 0] + Array(repeating: 1, count: 1_000_000), on: 3))
        try client.awaitFrame("the tunnel's reset") { $0.stream == 3 && $0.flags & Frame.reset != 0 }
        try relay.process.errors.waitForLine(containing: "Tunnel closed: client-id=flooder, agent-id=honest")
        try honest.check()

        // Its link is still good for another one.
        try client.send(.data(message(#"{"agent_id":"honest"}"#), on: 5, flags: Frame.syn))
        try client.awaitFrame("another tunnel") { $0.stream == 5 && $0.type == Frame.data }
    }
}

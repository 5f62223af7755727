import TestSupport
import Testing

@Suite(.serialized) struct `an admitted peer that misuses its control stream` {
    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }

    /// A client that has been welcomed.
    private func admitted() throws -> (client: HostileClient, token: String) {
        let token = try site.clientToken().text
        let client = try HostileClient(to: relay, in: site)
        try client.send(
            Frame(type: Frame.windowUpdate, flags: Frame.syn, stream: 1, length: 0),
            .data(message(#"{"version":1,"role":"client","software":"x","token":"\#(token)"}"#), on: 1))
        try client.awaitFrame("a welcome") { $0.says("accepted") }
        return (client, token)
    }

    @Test(arguments: [#"{"token":7}"#, "{}", "[]", #"{"ending":{"code":"draining","message":""}}"#, "nonsense"])
    func `is told of a message that is none, and goes`(json: String) throws {
        let client = try admitted().client
        try client.send(.data(message(json), on: 1))
        try client.awaitFrame("a reason") { $0.says("malformed_message") }
        try client.process.wait()
        try honest.check()
    }

    @Test func `is told when it renews its token again and again, and goes`() throws {
        let (client, token) = try admitted()
        let renewal = message(#"{"token":"\#(token)"}"#)
        try client.send(.data(renewal + renewal, on: 1))
        try client.awaitFrame("the first one's answer") { $0.says(#"{"renewal":{"accepted":{}}}"#) }
        try client.awaitFrame("a reason") { $0.says("limit_exceeded") }
        try client.process.wait()
        try honest.check()
    }

    @Test func `goes when it sends a message that is too long`() throws {
        let client = try admitted().client
        try client.send(.data([0x40, 0x01], on: 1))
        try client.awaitFrame("a reason") { $0.says("malformed_message") }
        try client.process.wait()
        try honest.check()
    }
}

extension Frame {
    fileprivate func says(_ text: String) -> Bool {
        type == Frame.data && String(decoding: payload, as: UTF8.self).contains(text)
    }
}

import TestSupport
import Testing

/// A foreign client may begin its streams with a larger window than yamux's: credit that comes with the opening, or before
/// the agent has answered (PROTOCOL §3.3).
@Test(arguments: [Frame.syn, 0])
func `credit that a client gives before its tunnel stands reaches the agent`(flags: UInt16) throws {
    let site = try Site()
    let relay = try site.relay()
    let agent = try FrameLine.agent("early", at: relay, in: site)
    let client = try FrameLine.client(of: ["early"], at: relay, in: site)
    let request = message(#"{"agent_id":"early"}"#)
    // Half a request keeps the stream with the relay.
    try client.send(
        .update(3, flags: Frame.syn, credit: flags == 0 ? 0 : 1 << 20), .data(Array(request.prefix(5)), on: 3),
        .update(3, credit: flags == 0 ? 1 << 20 : 0), .data(Array(request.dropFirst(5)), on: 3))
    try agent.awaitFrame("the credit") { $0.type == Frame.windowUpdate && $0.stream == 2 && $0.length == 1 << 20 }
}

import TLSEngine
import TestSupport
import Testing

/// What a relay tries with an agent without any client's help.
@Suite(.serialized) struct `a malicious relay that forges the client` {
    private let site: Site
    private let relay: MaliciousRelay
    private let echo: RecordingEcho

    init() throws {
        site = try Site()
        relay = try MaliciousRelay()
        echo = try RecordingEcho()
    }

    /// An agent that admits one client: the one that is known here as `connect`.
    private func agentForOneClient() throws -> Process {
        try site.run(["key", "generate", "--state-dir", site.path("connect")])
        let key = try site.run(["key", "show", "--state-dir", site.path("connect")]).output
        let clients = try site.directory.write("\(key.split(separator: "\n")[0]) laptop\n", to: "clients")
        return try site.registeredAgent(
            at: relay.address, target: echo.address,
            options: ["--authorized-clients", clients, "--allow-client", "laptop"])
    }

    /// A tunnel that the relay has offered by itself.
    private func tunnel(clientID: String = "laptop", more: String = "") throws -> (agent: FrameLine, stream: UInt32) {
        let line = try relay.awaitAgent("db")
        let stream = relay.nextStream()
        try relay.offer(to: line, on: stream, clientID: clientID, more: more)
        try line.awaitAnswer(on: stream)
        return (line, stream)
    }

    @Test func `by name alone is refused for its key, which the agent's log names`() throws {
        let agent = try agentForOneClient()
        let (line, stream) = try tunnel()
        // The name in the certificate is the client's too; only the key counts.
        let identity = try Identity.generate(commonName: "laptop")
        let session = try line.session(on: stream, role: .client, identity: identity)
        try session.start()
        try session.awaitEnd()
        let end = try agent.errors.waitForLine(containing: "Session ended: client-id=laptop, reason=")
        #expect(end.contains("the key \(identity.fingerprint) is not in the file of authorized clients"))
        #expect(session.frames.isEmpty)
        #expect(echo.visits.isEmpty)
    }

    @Test func `by playing back what an authorized client once sent gets a failed handshake`() throws {
        let agent = try agentForOneClient()
        let connect = try site.connect(at: relay.address)
        let user = try Connection(to: connect.waitForTunnel())
        #expect(try user.echoes("pay 100"))
        let recorded = try relay.awaitSplice().toAgent.seen

        let (line, stream) = try tunnel()
        try line.send(.data(recorded, on: stream))
        let end = try agent.errors.waitForLine(containing: "Session ended: client-id=laptop, reason=")
        #expect(end.contains("tls") || end.contains("TLS"))
        #expect(echo.visits.count == 1)
        #expect(try user.echoes("and the real one goes on"))
    }

    @Test func `and widens its addresses reaches the agent's target and nothing else`() throws {
        let other = try RecordingEcho()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let (line, stream) = try tunnel(more: #","allowed_addresses":["\#(other.address)","\#(echo.address)"]"#)
        let session = try line.session(on: stream, role: .client, identity: .generate(commonName: "laptop"))
        try session.start()
        try session.send(.data(message(#"{"version":1}"#), on: 1, flags: Frame.syn))
        try session.awaitAnswer(on: 1)
        try session.send(.data(message(#"{"target":"\#(other.address)"}"#), on: 3, flags: Frame.syn))
        let answer = try session.awaitFrame("a refusal") { $0.isData(on: 3) }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""code":"target_forbidden""#))
        try agent.errors.waitForLine(containing: "Forward refused: client-id=laptop, target=\(other.address)")
        #expect(other.visits.isEmpty)
    }

    @Test func `with a name that would write the agent's log writes one line, without control characters`() throws {
        let agent = try agentForOneClient()
        let line = try relay.awaitAgent("db")
        try relay.offer(
            to: line, on: relay.nextStream(), clientID: #"x\nSession opened: client-id=laptop\u001b[2J"#)
        let refusal = try agent.errors.waitForLine(containing: "Tunnel refused: client-id=x")
        #expect(refusal.contains("reason=not an allowed client"))
        #expect(refusal.utf8.allSatisfy { $0 >= 32 && $0 != 127 })
        #expect(!agent.errors.lines.contains { $0.hasPrefix("Session opened") })
    }

    /// What is no offer, or comes out of order.
    @Test(arguments: [
        "{", "[]", "null", #"{"client_id":"laptop"}"#, #"{"client_id":7,"client_address":"x"}"#,
        #"{"client_id":"laptop","client_id":"root","client_address":"x"}"#,
        String(repeating: "[", count: 16_000),
    ])
    func `in an offer that is none is refused, and the next one is taken`(offer: String) throws {
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let line = try relay.awaitAgent("db")
        let stream = relay.nextStream()
        try line.send(.update(stream, flags: Frame.syn), .data(message(offer), on: stream))
        let answer = try line.awaitFrame("a refusal") { $0.isData(on: stream) }
        #expect(String(decoding: answer.payload, as: UTF8.self).contains(#""code":"malformed_message""#))
        try agent.errors.waitForLine(containing: "Tunnel refused: reason=malformed message")
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("still taking clients"))
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a relay's limits` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    /// A client's hello with a token for everything.
    private func hello(subject: String = "mallory", secret: String? = nil) throws -> Frame {
        let token = try ForgedToken(subject: subject, role: "client").signed(with: secret ?? site.secret(), in: site)
        return .data(
            message(#"{"version":1,"role":"client","token":"\#(token)","software":"test"}"#), on: 1, flags: Frame.syn)
    }

    private func welcomedClient(of relay: Relay, subject: String = "mallory") throws -> HostileClient {
        let client = try HostileClient(to: relay, in: site)
        try client.send(hello(subject: subject))
        try client.awaitFrame("a welcome") {
            $0.stream == 1 && String(decoding: $0.payload, as: UTF8.self).contains("accepted")
        }
        return client
    }

    private func request(_ agent: String, on stream: UInt32) -> Frame {
        .data(message(#"{"agent_id":"\#(agent)"}"#), on: stream, flags: Frame.syn)
    }

    /// Waits for the answer to a tunnel request.
    private func answer(on stream: UInt32, to client: HostileClient) throws -> String {
        try client.awaitFrame("an answer on \(stream)") { $0.stream == stream && $0.type == Frame.data }
        return client.received.filter { $0.stream == stream && $0.type == Frame.data }
            .map { String(decoding: $0.payload, as: UTF8.self) }.joined()
    }

    // MARK: Connections

    @Test func `close connections of an address that has too many, say so, and take one when another has gone`() throws
    {
        let relay = try site.relay("--max-connections-per-address", "4")
        let honest = try HonestTunnel(in: site, at: relay)
        let others = try (0..<2).map { _ in try Connection(to: relay.port) }
        let one = try Connection(to: relay.port)
        let time = try elapsed { _ = try one.receiveUntilGone() }
        #expect(time < .seconds(5))
        try relay.process.errors.waitForLine(
            containing: "warning Connection refused: too many connections from this address, ip=127.0.0.1")
        try honest.check()
        others[0].close()
        let isIn = eventually {
            (try? HostileClient(to: relay, in: site).awaitFrame("a ping") { $0.type == Frame.ping }) != nil
        }
        #expect(isIn)
    }

    @Test func `make room for a newcomer by the oldest connection that has not said hello`() throws {
        let relay = try site.relay("--max-pending-connections", "3", "--handshake-timeout", "10m")
        let silent = try (0..<3).map { _ in try Connection(to: relay.port) }
        // Honest ones come in, though nobody leaves and the silent ones have much time left.
        let honest = try HonestTunnel(in: site, at: relay)
        try relay.process.errors.waitForLine(containing: "too many connections wait to be admitted")
        try honest.check()
        withExtendedLifetime(silent) {}
    }

    @Test func `end a handshake that takes too long`() throws {
        let relay = try site.relay("--handshake-timeout", "1s")
        let silent = try Connection(to: relay.port)
        let slow = try Connection(to: relay.port)
        try slow.send([22, 3, 1, 2, 0])
        let time = try elapsed {
            for connection in [silent, slow] { _ = try connection.receiveUntilGone() }
        }
        #expect(time < .seconds(5))
        try relay.process.errors.waitForLine(containing: "no handshake within 1 s", occurrence: 2)
        let mute = try HostileClient(to: relay, in: site)
        try mute.process.wait()
        try relay.process.errors.waitForLine(containing: "no hello within 1 s")
    }

    @Test func `make an address wait after tokens that were refused, and not those who are there`() throws {
        let relay = try site.relay("--max-failures-per-address", "2")
        let honest = try HonestTunnel(in: site, at: relay)
        for _ in 0..<3 {
            let client = try HostileClient(to: relay, in: site)
            try client.send(hello(secret: randomHex(bytes: 32)))
            try client.process.wait()
        }
        try relay.process.errors.waitForLine(containing: "Authentication failed: ", occurrence: 3)
        // Each refused attempt is soon; the wait is a second here and there.
        let early = try Connection(to: relay.port)
        _ = try early.receiveUntilGone()
        try relay.process.errors.waitForLine(
            containing: "Connection refused: too many authentication failures from this address, ip=127.0.0.1")
        try honest.check()
        let isIn = eventually {
            (try? HostileClient(to: relay, in: site).awaitFrame("a ping") { $0.type == Frame.ping }) != nil
        }
        #expect(isIn)
    }

    // MARK: Tunnels

    @Test func `count a client's tunnels over all its links, and free them when it goes`() throws {
        let relay = try site.relay("--max-tunnels-per-client", "2")
        let honest = try HonestTunnel(in: site, at: relay)
        let links = try (0..<3).map { _ in try welcomedClient(of: relay) }
        for link in links.prefix(2) {
            try link.send(request("honest", on: 3))
            #expect(try answer(on: 3, to: link).contains("accepted"))
        }
        try links[2].send(request("honest", on: 3))
        #expect(try answer(on: 3, to: links[2]).contains(#""code":"limit_exceeded""#))
        try links[2].send(Frame(type: Frame.windowUpdate, flags: Frame.reset, stream: 3, length: 0))
        try relay.process.errors.waitForLine(containing: "Tunnel refused: client-id=mallory, agent-id=honest")
        try honest.check()

        links[0].process.send(SIGKILL)
        var stream: UInt32 = 5
        let isFree = try eventually {
            defer { stream += 2 }
            try links[2].send(request("honest", on: stream))
            if try answer(on: stream, to: links[2]).contains("accepted") { return true }
            try links[2].send(Frame(type: Frame.windowUpdate, flags: Frame.reset, stream: stream, length: 0))
            return false
        }
        #expect(isFree)
    }

    @Test func `keep an agent's tunnels below its own, whoever they are of`() throws {
        let relay = try site.relay("--max-tunnels-per-agent", "2")
        let honest = try HonestTunnel(in: site, at: relay)
        let (first, second) = (
            try welcomedClient(of: relay, subject: "one"), try welcomedClient(of: relay, subject: "two")
        )
        try first.send(request("honest", on: 3))
        #expect(try answer(on: 3, to: first).contains("accepted"))
        try second.send(request("honest", on: 3))
        #expect(try answer(on: 3, to: second).contains(#""code":"limit_exceeded""#))
        try honest.check()
    }

    @Test func `refuse tunnels that are asked for faster than anybody needs them`() throws {
        let relay = try site.relay()
        let honest = try HonestTunnel(in: site, at: relay)
        let client = try welcomedClient(of: relay)
        var bytes: [UInt8] = []
        // Each is given up as soon as it is asked for, so that there is never more than one.
        for number in 0..<1000 as Range<UInt32> {
            bytes += request("honest", on: 3 + 2 * number).bytes
            bytes += Frame(type: Frame.windowUpdate, flags: Frame.reset, stream: 3 + 2 * number, length: 0).bytes
        }
        bytes += request("honest", on: 5001).bytes
        try client.process.write(bytes)
        #expect(try answer(on: 5001, to: client).contains(#""code":"limit_exceeded""#))
        try honest.check()
    }

    @Test func `refuse an agent ID that is registered again and again`() throws {
        let relay = try site.relay()
        let honest = try HonestTunnel(in: site, at: relay)
        let options = try ["-alpn", "adit/1"] + HostileClient.certificate(in: site)
        let token = try ForgedToken(subject: "churn", role: "agent").signed(with: site.secret(), in: site)
        let hello = #"{"version":1,"role":"agent","agent_id":"churn","token":"\#(token)","software":"test"}"#
        let answers = try (0..<40).map { _ in
            let agent = try HostileClient(to: relay, in: site, options: options)
            try agent.send(.data(message(hello), on: 1, flags: Frame.syn))
            return try answer(on: 1, to: agent)
        }
        let accepted = answers.count { $0.contains("accepted") }
        // Ten at once, and one more a second.
        #expect((10...30).contains(accepted))
        #expect(answers.count { $0.contains(#""code":"limit_exceeded""#) } == answers.count - accepted)
        try honest.check()
    }

    // MARK: Bytes

    @Test func `close the link with the most that its peer does not read, when too much waits on all`() throws {
        let relay = try site.relay("--max-buffered", "8M")
        let honest = try HonestTunnel(in: site, at: relay)
        let agent = try HostileClient(to: relay, in: site)
        let token = try ForgedToken(subject: "flood", role: "agent").signed(with: site.secret(), in: site)
        let hello = #"{"version":1,"role":"agent","agent_id":"flood","token":"\#(token)","software":"test"}"#
        try agent.send(.data(message(hello), on: 1, flags: Frame.syn))
        try relay.process.errors.waitForLine(containing: "Agent connected: agent-id=flood")
        let client = try welcomedClient(of: relay)
        // One client lets two streams send almost as much as the relay passes on at once, and reads none of it.
        let allowance: UInt32 = 15 << 20
        for (asked, offered) in [(3, 2), (5, 4)] as [(UInt32, UInt32)] {
            try client.send(request("flood", on: asked))
            try agent.awaitFrame("an offer") { $0.stream == offered && $0.type == Frame.data }
            try agent.send(.data(message(#"{"accepted":{}}"#), on: offered))
            #expect(try answer(on: asked, to: client).contains("accepted"))
            try client.send(Frame(type: Frame.windowUpdate, stream: asked, length: allowance))
            try agent.awaitFrame("credit") { $0.stream == offered && $0.length >= allowance }
        }
        client.process.send(SIGSTOP)
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        for _ in 0..<14 { try agent.send(.data(bytes, on: 2), .data(bytes, on: 4)) }
        try relay.process.errors.waitForLine(
            containing: "Client disconnected: client-id=mallory, ip=127.0.0.1, reason=connection lost: it does not take"
        )
        try honest.check()
    }

    // MARK: Frames

    @Test(arguments: ["ping", "window update", "opening and reset", "empty data"])
    func `end a link that brings control frames without end, and nobody else notices`(_ what: String) throws {
        let relay = try site.relay("--max-control-frames", "2000")
        let honest = try HonestTunnel(in: site, at: relay)
        let client = try welcomedClient(of: relay)
        let frames: [Frame] = (0..<5000).flatMap { number -> [Frame] in
            let stream = 3 + 2 * UInt32(number)
            return switch what {
            case "ping": [Frame(type: Frame.ping, flags: Frame.syn, stream: 0, length: UInt32(number))]
            case "window update": [Frame(type: Frame.windowUpdate, stream: 1, length: 1)]
            case "opening and reset":
                [
                    Frame(type: Frame.windowUpdate, flags: Frame.syn, stream: stream, length: 0),
                    Frame(type: Frame.windowUpdate, flags: Frame.reset, stream: stream, length: 0),
                ]
            default: [Frame(type: Frame.data, stream: 1, length: 0)]
            }
        }
        try? client.process.write(frames.flatMap(\.bytes))
        try client.process.wait()
        try relay.process.errors.waitForLine(
            containing:
                "Client disconnected: client-id=mallory, ip=127.0.0.1, reason=the peer broke the protocol: too many")
        try honest.check()
    }
}

@Suite(.serialized) struct `an agent's limit` {
    @Test func `refuses a forward beyond it, and takes one when another has gone`() throws {
        let site = try Site()
        let relay = try site.relay()
        let echo = try CountedEcho()
        let agent = try site.registeredAgent(
            at: relay.address, target: echo.address, options: ["--max-forwards", "2"])
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address)
        let port = try connect.waitForTunnel()
        let open = try (0..<2).map { _ in try Connection(to: port) }
        for connection in open { #expect(try connection.echoes("first")) }
        let time = try elapsed { _ = try Connection(to: port).receiveUntilGone() }
        #expect(time < .seconds(5))
        try connect.errors.waitForLine(
            containing: "Forward refused by the agent: reason=this agent takes 2 connections at once over one session")
        #expect(echo.connections == 2)
        try open[0].reset()
        let isFree = eventually { (try? Connection(to: port).echoes("again")) == true }
        #expect(isFree)
        #expect(try open[1].echoes("still"))
    }
}

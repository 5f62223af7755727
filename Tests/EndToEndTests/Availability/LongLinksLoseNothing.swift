import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What goes out over a long link its party writes to the socket, and tries again if that did not take it.
///
///     ┌ client ──┐  40 ms  ┌ relay ─┐  40 ms  ┌ agent ───────────┐
///     │ connect ─┼─────────┼─ relay ┼─────────┼─ agent ► service │
///     └──────────┘         └────────┘         └──────────────────┘
@Suite(
    .serialized, .timeLimit(.minutes(5)),
    .enabled(
        if: mayMakeNetworks && access("/dev/net/tun", R_OK | W_OK) == 0, "networks and TUN devices are root's to make"))
struct `long links` {
    // What runs in the networks goes first.
    private let relay: Relay
    private let agent: Process
    private let connect: Process
    private let service: Service
    private let links: LongLinks
    private let site: Site
    private let port: UInt16
    /// Bytes that the service has sent.
    private let sent = Monitor(0)

    init() throws {
        site = try Site()
        links = try LongLinks()
        relay = try site.relay(listen: "0.0.0.0:0", through: links.relay.launcher)
        service = try links.agent.inside { [sent] in try Service { try serve($0, sent) } }
        agent = try site.registeredAgent(
            at: "\(LongLinks.relayHost.agent):\(relay.port)", target: "127.0.0.1:\(service.port)",
            through: links.agent.launcher)
        connect = try site.connect(
            at: "\(LongLinks.relayHost.client):\(relay.port)", through: links.client.launcher)
        port = try connect.waitForTunnel()
    }

    private func open() throws -> Connection {
        try links.client.inside { [port] in try Connection(to: port) }
    }

    @Test(arguments: [0, 0.001]) func `carry everything unchanged, up and down at once`(loss: Double) throws {
        try links.lose(loss)
        let up = try open()
        let sending = Background {
            try up.send("u")
            try up.sendPattern(large)
            try up.finishSending()
            #expect(try up.receive(exactly: 1) == [1])
        }
        try download()
        try sending.value()
    }

    private func download() throws {
        let connection = try open()
        try connection.send("d")
        #expect(try connection.receivePattern() == large)
    }

    /// Where the ends are far apart, a small buffer would hold up what is on the way.
    @Test func `leave the size of their buffers to the kernel`() throws {
        try download()
        let buffers = try receiveBuffers(ofConnectionsTo: relay.port, through: links.relay.launcher)
        let local = try localReceiveBuffer()
        #expect(buffers.count == 2 && !buffers.contains(local), "\(buffers)")
    }

    @Test func `bring a party that was stopped everything when it goes on`() throws {
        let received = Background { try self.download() }
        for (number, party) in [connect, relay.process, agent, connect].enumerated() {
            let share = (number + 1) * large / 5
            try #require(sent.wait(within: Process.patience) { $0 >= share ? true : nil } == true)
            party.send(SIGSTOP)
            // Until everything before it is full, and for some round trips more.
            var last = -1
            while case let now = sent.change({ $0 }), now != last {
                last = now
                usleep(300_000 * UInt32(timeScale))
            }
            #expect(last < large)
            party.send(SIGCONT)
        }
        try received.value()
        try download()
    }

    /// The relay ends an agent's link while the agent's socket is full: a reset follows what it says right away.
    @Test func `tell who was replaced that he was`() throws {
        try whileDownloading {
            let other = try site.registeredAgent(
                at: "\(LongLinks.relayHost.agent):\(relay.port)", target: "127.0.0.1:\(service.port)",
                through: links.agent.launcher)
            #expect(try agent.wait() == .exited(77), "\(agent.transcript)")
            withExtendedLifetime(other) {}
        }
    }

    @Test func `bring all that was sent before the end`() throws {
        for _ in 0..<5 {
            for size in ["0", "1"] {
                let connection = try open()
                try connection.send(size)
                #expect(try connection.receivePattern() == (size == "0" ? 70_000 : 5_000_000))
            }
        }
    }

    /// What waits for a socket must not keep anybody from ending.
    @Test(arguments: ["relay", "agent", "connect"]) func `end in good order in the middle of a transfer`(_ name: String)
        throws
    {
        try whileDownloading {
            let party = try #require(["relay": relay.process, "agent": agent, "connect": connect][name])
            party.send(SIGTERM)
            #expect(try party.wait() == .exited(0), "\(party.transcript)")
        }
    }

    /// Runs `body` in the middle of a download without end, which is read until it is cut.
    private func whileDownloading(_ body: () throws -> Void) throws {
        let connection = try open()
        let reading = Background {
            try connection.send("e")
            while case let bytes = try connection.receive(), !bytes.isEmpty {}
        }
        try #require(sent.wait(within: Process.patience) { $0 > 16 << 20 ? true : nil } == true)
        try body()
        connection.close()
        _ = try? reading.value()
    }
}

/// Many times what a socket takes.
private let large = 64 << 20

/// `d`, `e` (without end), `0` and `1` ask for a download, `u` brings an upload.
private func serve(_ connection: Connection, _ sent: Monitor<Int>) throws {
    let note = { (count: Int) in sent.change { $0 = count } }
    switch try connection.receive(exactly: 1)[0] {
    case UInt8(ascii: "d"): try connection.sendPattern(large, progress: note)
    case UInt8(ascii: "e"): try connection.sendPattern(.max, progress: note)
    case UInt8(ascii: "0"): try connection.sendPattern(70_000)
    case UInt8(ascii: "1"): try connection.sendPattern(5_000_000)
    default: try connection.send([connection.receivePattern() == large ? 1 : 0])
    }
}

import TestSupport
import Testing

@Suite(.serialized) struct `a relay that is not there` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    @Test func `is named with the reason and tried again ever more slowly, until it comes`() throws {
        let place = try Listener(listening: false)
        let address = "127.0.0.1:\(place.port)"
        let echo = try CountedEcho()
        let agent = try site.agent(at: address, target: echo.address)
        let connect = try site.connect(at: address)
        for peer in [agent, connect] {
            let expected = "Disconnected: cannot reach \(address): connection refused; trying again in "
            let delays = try (1...3).map { time in
                let line = try peer.errors.waitForLine(containing: expected, occurrence: time)
                return try #require(line.split(separator: " ").dropLast().last.flatMap { Double($0) })
            }
            // Each is drawn from the upper half of twice the range before, so that two steps always show.
            #expect(delays[2] > delays[0])
        }
        place.close()
        let relay = try site.relay(listen: address)
        try agent.output.waitForLine(containing: "Waiting for client connections")
        #expect(try Connection(to: connect.waitForTunnel()).echoes("there at last"))
        withExtendedLifetime(relay) {}
    }

    @Test func `ends connect, if that was told to`() throws {
        let place = try Listener(listening: false)
        let address = "127.0.0.1:\(place.port)"
        let connect = try site.connect(at: address, options: ["--exit-on-failure"])
        #expect(try connect.wait() == .exited(69))
        #expect(connect.errors.lines.contains("adit: cannot reach \(address): connection refused"))
        withExtendedLifetime(place) {}
    }

    @Test func `that says nothing is left after a while`() throws {
        let silent = try Service { _ = try $0.receiveToEnd() }
        let address = "127.0.0.1:\(silent.port)"
        let peers = try [site.agent(at: address, target: "127.0.0.1:1"), site.connect(at: address)]
        for peer in peers {
            try peer.errors.waitForLine(
                containing: "Disconnected: TLS handshake failed: no handshake within 9 s; trying again in ")
        }
        withExtendedLifetime(silent) {}
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a relay's secrets` {
    private let site: Site
    private let echo: CountedEcho
    private let secrets = (old: randomHex(bytes: 32), new: randomHex(bytes: 32))

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    /// Writes the file of secrets.
    private func ring(_ lines: String...) throws {
        try site.directory.write(lines.map { $0 + "\n" }.joined(), to: "secret")
    }

    private func reload(_ relay: Relay, occurrence: Int) throws {
        relay.process.send(SIGHUP)
        try relay.process.errors.waitForLine(containing: "Secrets read again", occurrence: occurrence)
    }

    @Test func `are added and retired without a restart, and only links under a retired one end`() throws {
        try ring("# May", "kid=old \(secrets.old)")
        let relay = try site.relay()
        let old = try site.clientToken("old")
        let leaving = try site.connect(at: relay.address, token: old.file, state: "leaving")

        try ring("kid=new \(secrets.new)", "kid=old \(secrets.old)")
        try reload(relay, occurrence: 1)
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let staying = try site.connect(at: relay.address, token: site.clientToken("new").file, state: "staying")
        let connections = try (
            leaving: Connection(to: leaving.waitForTunnel()), staying: Connection(to: staying.waitForTunnel())
        )
        #expect(try connections.leaving.echoes("both secrets") && connections.staying.echoes("both secrets"))

        try ring("kid=new \(secrets.new)")
        try reload(relay, occurrence: 2)
        let reason = "the secret that signed the token has been retired"
        #expect(try leaving.reasonOfRefusal() == reason)
        _ = try connections.leaving.receiveUntilGone()
        #expect(try connections.staying.echoes("one secret"))
        let again = try site.connect(at: relay.address, token: old.file, state: "leaving")
        #expect(try again.reasonOfRefusal() == "no secret has the token's key ID old")

        // The same name, and another secret.
        try ring("kid=new \(secrets.old)")
        try reload(relay, occurrence: 3)
        #expect(try staying.reasonOfRefusal() == reason)
        #expect(try agent.reasonOfRefusal() == reason)
    }

    @Test func `stay as they were when their file is broken, and the log says what is wrong`() throws {
        try ring("kid=old \(secrets.old)")
        let relay = try site.relay()
        let honest = try HonestTunnel(in: site, at: relay)
        let token = try site.clientToken()
        for (occurrence, (line, reason)) in [
            ("kid=new", "line 2: expected kid=ID SECRET"), ("kid=new short", "line 2: the secret has 5 bytes"),
            ("kid=old \(secrets.new)", "line 2: a second secret with the same kid"),
        ].enumerated() {
            try ring("kid=old \(secrets.new)", line)
            relay.process.send(SIGHUP)
            let said = try relay.process.errors.waitForLine(
                containing: "Secrets not read again, those from before stay: ", occurrence: occurrence + 1)
            #expect(said.contains(reason))
        }
        let client = try site.connect(to: "honest", at: relay.address, token: token.file, state: "another")
        try client.output.waitForLine(containing: "Connected to relay")
        try honest.check()
    }

    @Test func `may be one without a name, whose tokens go on beside those of a new one`() throws {
        let relay = try site.relay()
        let honest = try HonestTunnel(in: site, at: relay)
        let bare = try site.secret()
        try ring("kid=new \(secrets.new)", "# of tokens from before", bare)
        try reload(relay, occurrence: 1)
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("new"))
        try honest.check()
        try ring("kid=new \(secrets.new)")
        try reload(relay, occurrence: 2)
        #expect(try honest.agent.reasonOfRefusal() == "the secret that signed the token has been retired")
        #expect(agent.end == nil && connect.end == nil)
    }
}

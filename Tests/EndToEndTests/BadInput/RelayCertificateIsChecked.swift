import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a relay with a certificate from an authority` {
    private let site: Site
    private let relay: Relay
    private let port: UInt16

    /// The certificate is for `localhost` alone.
    init() throws {
        site = try Site(authorities: "authority.pem")
        for authority in ["authority", "stranger"] {
            try site.openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                "-subj", "/CN=\(authority)", "-addext", "keyUsage=critical,keyCertSign", "-keyout", "\(authority).key",
                "-out", "\(authority).pem")
        }
        try site.openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=relay", "-keyout",
            "relay.key", "-out", "relay.csr")
        try site.directory.write("subjectAltName=DNS:localhost\n", to: "relay.ext")
        try site.openssl(
            "x509", "-req", "-in", "relay.csr", "-CA", "authority.pem", "-CAkey", "authority.key", "-set_serial", "1",
            "-days", "1", "-extfile", "relay.ext", "-out", "relay.pem")
        relay = try site.relay("--tls-cert", site.path("relay.pem"), "--tls-key", site.path("relay.key"))
        port = relay.port
    }

    @Test func `the right authority and name let agent and connect in`() throws {
        let echo = try CountedEcho()
        let options = ["--relay-ca", site.path("authority.pem")]
        _ = try agentAndTunnel(at: "localhost:\(port)", echo: echo, options: options)
        // Trust that rests on an authority remembers no keys.
        #expect(!(try names(in: site.path("agent")).contains("known_relays")))
    }

    @Test func `the system's authorities vouch for a relay too, and what they do not know is remembered`() throws {
        let echo = try CountedEcho()
        let vouchedFor = try agentAndTunnel(at: "localhost:\(port)", echo: echo, options: [])
        for role in ["agent", "connect"] {
            #expect(!(try names(in: site.path(role)).contains("known_relays")))
        }
        for process in vouchedFor.reversed() {
            process.send(SIGTERM)
            #expect(try process.wait() == .exited(0))
        }
        _ = try agentAndTunnel(at: "127.0.0.1:\(port)", echo: echo, options: [])
        for role in ["agent", "connect"] {
            #expect(try names(in: site.path(role)).contains("known_relays"))
        }
    }

    @Test func `authorities that cannot be opened say neither yes nor no`() throws {
        let blind = try Site(authorities: "loop")
        #expect(symlink("loop", blind.path("loop")) == 0)
        let agent = try blind.agent(at: "localhost:\(port)", target: "127.0.0.1:1")
        let expected = "the system's certificate authorities cannot be loaded now; trying again in "
        try agent.errors.waitForLine(containing: expected, occurrence: 2)
        #expect(!(try names(in: blind.path("agent")).contains("known_relays")))
    }

    private func agentAndTunnel(at relay: String, echo: CountedEcho, options: [String]) throws -> [Process] {
        let agent = try site.registeredAgent(at: relay, target: echo.address, options: options)
        let connect = try site.connect(at: relay, options: options)
        let isEchoed = try Connection(to: connect.waitForTunnel()).echoes("vouched for")
        #expect(isEchoed)
        return [agent, connect]
    }

    @Test(arguments: ["agent", "connect"])
    func `a name that the certificate is not for is refused`(role: String) throws {
        let options = ["--relay-ca", site.path("authority.pem")]
        let line = try refusal(of: role, at: "127.0.0.1:\(port)", options: options)
        #expect(line.contains("the certificate of relay 127.0.0.1:\(port) does not stand up to "))
        #expect(line.contains("mismatch"))
    }

    @Test(arguments: ["agent", "connect"])
    func `a certificate of another authority is refused`(role: String) throws {
        let options = ["--relay-ca", site.path("stranger.pem")]
        let line = try refusal(of: role, at: "localhost:\(port)", options: options)
        #expect(line.contains("the certificate of relay localhost:\(port) does not stand up to "))
        #expect(line.contains("stranger.pem"))
    }

    private func refusal(of role: String, at relay: String, options: [String]) throws -> String {
        let peer =
            try role == "agent"
            ? site.agent(at: relay, target: "127.0.0.1:1", options: options) : site.connect(at: relay, options: options)
        #expect(try peer.wait() == .exited(77))
        return try #require(peer.errors.lines.last { $0.hasPrefix("adit: ") })
    }
}

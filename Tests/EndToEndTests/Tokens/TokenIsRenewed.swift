import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a token that expires while its link is open` {
    private static let soon = "4s"

    private let site: Site
    private let echo: CountedEcho
    private let relay: Relay

    init() throws {
        site = try Site()
        echo = try CountedEcho()
        relay = try site.relay()
    }

    private func token(role: String, lasting time: String, options: [String] = []) throws -> SignedToken {
        let scope = role == "client" ? ["--agent", "db"] : []
        return try site.token(role: role, subject: "db", options: scope + ["--expires-in", time] + options)
    }

    /// Puts another token into the file of one, as a careful program does: whole or not at all.
    private func replace(_ file: String, with token: SignedToken) throws {
        guard rename(token.file, file) == 0 else { throw ProcessError("cannot replace \(file): \(errno)") }
    }

    @Test func `is renewed from its file on both sides, and no connection notices`() throws {
        let tokens = try (
            agent: token(role: "agent", lasting: Self.soon), client: token(role: "client", lasting: Self.soon)
        )
        let agent = try site.agent(at: relay.address, target: echo.address, token: tokens.agent.file)
        try agent.waitUntilRegistered()
        let connect = try site.connect(at: relay.address, token: tokens.client.file)
        let connection = try Connection(to: connect.waitForTunnel())
        #expect(try connection.echoes("before"))
        for (peer, role, file) in [(agent, "agent", tokens.agent.file), (connect, "client", tokens.client.file)] {
            try peer.errors.waitForLine(containing: "Token expires in ")
            try replace(file, with: token(role: role, lasting: "1h"))
            try peer.errors.waitForLine(containing: "Token renewed")
        }
        // A client with a token of the same age tells when the old ones have ended.
        let witness = try site.connect(
            at: relay.address, token: token(role: "client", lasting: Self.soon).file, state: "witness")
        #expect(try witness.reasonOfRefusal() == "the token has expired")
        #expect(try connection.echoes("after"))
        #expect(try Connection(to: connect.waitForTunnel()).echoes("a new connection"))
        #expect(!connect.errors.text.contains("Disconnected") && !agent.errors.text.contains("Disconnected"))
    }

    @Test func `and is not renewed ends its link and connections, and both sides say why`() throws {
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let connect = try site.connect(at: relay.address, token: token(role: "client", lasting: Self.soon).file)
        let connection = try Connection(to: connect.waitForTunnel())
        #expect(try connection.echoes("before"))
        _ = try connection.receiveUntilGone()
        #expect(try connect.reasonOfRefusal() == "the token has expired")
        #expect(connect.errors.lines.last?.hasPrefix("hint: ") == true)
        try relay.process.errors.waitForLine(
            containing: "Client disconnected: client-id=db, ip=127.0.0.1, reason=the token has expired")
    }

    @Test func `is not renewed with a token that may do less, and the link begins anew with that one`() throws {
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        defer { withExtendedLifetime(agent) {} }
        let wide = try token(role: "client", lasting: Self.soon, options: ["--agent", "other"])
        let connect = try site.connect(at: relay.address, token: wide.file)
        let connection = try Connection(to: connect.waitForTunnel())
        try replace(wide.file, with: token(role: "client", lasting: "1h"))
        try connect.errors.waitForLine(
            containing: "Token not renewed: the token allows less than the one that it is to replace")
        #expect(try connection.echoes("the old token is still good"))
        _ = try connection.receiveUntilGone()
        try connect.errors.waitForLine(containing: "Disconnected: the token has expired; trying again in ")
        #expect(try Connection(to: connect.waitForTunnel(occurrence: 2)).echoes("with less"))
    }

    @Test(arguments: [
        ("agent", "db", [], "the token is not for the role of client"),
        ("client", "eve", ["--agent", "db"], "the token is for another subject than the one that it is to replace"),
        ("client", "db", ["--agent", "db", "--audience", "x"], "the token is for another audience"),
    ])
    func `is not renewed with a token that a hello would not be let in with`(
        role: String, subject: String, options: [String], reason: String
    ) throws {
        let own = try token(role: "client", lasting: Self.soon)
        let connect = try site.connect(at: relay.address, token: own.file)
        try connect.output.waitForLine(containing: "Connected to relay")
        try replace(own.file, with: site.token(role: role, subject: subject, options: options))
        try connect.errors.waitForLine(containing: "Token not renewed: \(reason)")
    }
}

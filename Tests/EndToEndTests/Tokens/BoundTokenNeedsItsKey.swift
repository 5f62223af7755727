import TestSupport
import Testing

@Suite(.serialized) struct `a token that is bound to a key` {
    private let site: Site
    private let echo: CountedEcho
    private let relay: Relay

    init() throws {
        site = try Site()
        echo = try CountedEcho()
        relay = try site.relay()
    }

    private func newKey(state: String) throws -> String {
        let made = try site.run(["key", "generate", "--state-dir", site.path(state)])
        return String(made.output.dropLast())
    }

    @Test func `serves the holder of the key, and not who has stolen the token`() throws {
        let agentToken = try site.token(role: "agent", subject: "db", options: ["--bind-key", newKey(state: "agent")])
        let agent = try site.agent(at: relay.address, target: echo.address, token: agentToken.file)
        try agent.waitUntilRegistered()
        let token = try site.clientToken(options: ["--bind-key", newKey(state: "laptop")])
        let connect = try site.connect(at: relay.address, token: token.file, state: "laptop")
        #expect(try Connection(to: connect.waitForTunnel()).echoes("the owner"))

        let thief = try newKey(state: "thief")
        let reason = "the token is bound to another key than \(thief)"
        let stolen = try site.connect(at: relay.address, token: token.file, state: "thief")
        #expect(try stolen.reasonOfRefusal() == reason)
        let impostor = try site.agent(at: relay.address, target: echo.address, token: agentToken.file, state: "thief")
        #expect(try impostor.reasonOfRefusal() == reason)
        try relay.process.errors.waitForLine(
            containing: "Authentication failed: \(reason), ip=127.0.0.1", occurrence: 2)
        #expect(agent.end == nil && connect.end == nil)
    }

    @Test func `is for one relay where it says so, and of one issuer`() throws {
        let named = try site.relay("--audience", "east", "--issuer", "ops", state: "east")
        func token(_ options: String...) throws -> SignedToken {
            try site.token(role: "agent", subject: "db", options: options)
        }
        let east = try token("--audience", "east", "--issuer", "ops")
        try site.agent(at: named.address, target: echo.address, token: east.file).waitUntilRegistered()
        let cases = try [
            (named, token(), "claim iss is missing"),
            (named, token("--issuer", "me"), "the token is of another issuer"),
            (named, token("--issuer", "ops"), "claim aud is missing"),
            (
                named, token("--issuer", "ops", "--audience", "west"),
                "the token is for another audience"
            ),
            (relay, east, "the token is for another audience"),
        ]
        for (relay, token, reason) in cases {
            let agent = try site.agent(at: relay.address, target: echo.address, token: token.file)
            #expect(try agent.reasonOfRefusal() == reason)
        }
    }
}

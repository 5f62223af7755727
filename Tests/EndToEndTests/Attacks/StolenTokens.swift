import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A token that was good once, or is good elsewhere, in the hands of somebody it was not made for.
@Suite(.serialized) struct `a stolen token` {
    /// DESIGN gives a revocation a second. The rest is for a machine that does other things meanwhile.
    private static let atOnce = Duration.seconds(2)

    private let site: Site

    init() throws {
        site = try Site()
    }

    private func id(of token: String) throws -> String {
        let payload = try text(of: token).split(separator: ".")[1]
        let padded = payload + String(repeating: "=", count: (4 - payload.count % 4) % 4)
        let standard = padded.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
        let claims = try site.openssl("base64", "-d", "-A", input: String(standard))
        let parts = String(decoding: claims, as: UTF8.self).split(separator: #""jti":""#)
        return try String(#require(parts.count == 2 ? parts[1].split(separator: "\"").first : nil))
    }

    @Test(arguments: ["agent", "client"])
    func `that is bound to its owner's key lets nobody else in`(role: String) throws {
        let relay = try site.relay()
        try site.run(["key", "generate", "--state-dir", site.path("owner")])
        let key = try site.run(["key", "show", "--state-dir", site.path("owner")]).output.split(separator: "\n")[0]
        let token = try site.token("--sub", "db", "--role", role, "--bind-key", String(key))
        let start = { (state: String) in
            role == "agent"
                ? try site.agent(at: relay.address, target: "127.0.0.1:1", token: token, state: state)
                : try site.connect(at: relay.address, token: token, state: state)
        }
        let thief = try start("thief")
        #expect(try thief.wait() == .exited(77))
        #expect(thief.errors.text.contains("adit: authentication failed: "))
        try relay.process.errors.waitForLine(containing: "Authentication failed: ")
        let owner = try start("owner")
        try owner.output.waitForLine(containing: "Connected to relay: ")
    }

    @Test(arguments: ["agent", "client"])
    func `ends what is open with it when it is revoked, and opens nothing more`(role: String) throws {
        let revocations = try site.directory.write("# none yet\n", to: "revocations")
        let relay = try site.relay("--revocations", revocations)
        let honest = try HonestTunnel(in: site, at: relay)
        let agentID = role == "agent" ? "thief" : nil
        let token = try site.token("--sub", "thief", "--role", role)
        let thief = try FrameLine.dialed(to: relay)
        try thief.sayHello(role: role, token: token, agentID: agentID)
        if role == "client" { try thief.openTunnel() }
        try site.directory.write("\(id(of: token))  # stolen\n", to: "revocations")
        let time = try elapsed { try thief.awaitEnd() }
        #expect(time < Self.atOnce)
        let notice = thief.frames.filter { $0.isData(on: 1) }.flatMap(\.payload)
        #expect(String(decoding: notice, as: UTF8.self).contains(#""code":"token_revoked""#))
        let again = try FrameLine.dialed(to: relay)
        #expect(throws: ProcessError.self) { try again.sayHello(role: role, token: token, agentID: agentID) }
        try honest.check()
    }

    @Test func `is of no use once the secret that signed it is retired`() throws {
        let ring = try site.directory.write("kid=old \(randomHex(bytes: 32))\n", to: "ring")
        let relay = try site.relay("--jwt-secret-file", ring)
        let token = try site.token("--sub", "thief", "--role", "client", secretFile: ring)
        let thief = try FrameLine.dialed(to: relay)
        try thief.sayHello(role: "client", token: token)
        try site.directory.write("kid=new \(randomHex(bytes: 32))\n", to: "ring")
        relay.process.send(SIGHUP)
        try thief.awaitEnd()
        let notice = thief.frames.filter { $0.isData(on: 1) }.flatMap(\.payload)
        #expect(String(decoding: notice, as: UTF8.self).contains(#""code":"token_revoked""#))
        let again = try FrameLine.dialed(to: relay)
        #expect(throws: ProcessError.self) { try again.sayHello(role: "client", token: token) }
    }
}

import TestSupport
import Testing
import Tokens

@Suite("generate-token")
struct GenerateTokenTests {
    static let secret = "0123456789abcdef0123456789abcdef"

    private func claims(_ arguments: [String], environment: [String: String] = [:]) throws -> Claims {
        let (end, output, errors) = try Process.run(
            aditBinary(), ["generate-token", "--token-only", "--sub", "joe"] + arguments, environment: environment)
        try #require(end == .exited(0), "\(errors)")
        #expect(output.hasSuffix("\n"))
        return try Self.verified(output.dropLast(), now: Self.date("+%s"))
    }

    private static func verified(_ token: some StringProtocol, now: Int64) throws -> Claims {
        try TokenVerifier(keyring: Keyring(TokenSecret(Array(secret.utf8)))).verify(String(token), now: now).claims
    }

    private static func date(_ arguments: String...) throws -> Int64 {
        try #require(Int64(Process.run("/bin/date", arguments).output.dropLast()))
    }

    @Test("the secret signs, however it was given")
    func secrets() throws {
        let directory = try TemporaryDirectory()
        let file = try directory.write(Self.secret + "\n", to: "secret")
        #expect(try claims(["--secret", Self.secret]).subject == "joe")
        #expect(try claims(["--secret=\(Self.secret)"]).subject == "joe")
        #expect(try claims(["--secret-file", file]).subject == "joe")
        #expect(try claims([], environment: ["ADIT_SECRET": Self.secret]).subject == "joe")
        #expect(try claims([], environment: ["ADIT_SECRET_FILE": file]).subject == "joe")
    }

    @Test("a token holds what was asked for and no more")
    func holdsWhatWasAsked() throws {
        let claims = try claims([
            "--secret", Self.secret, "--role", "client", "--agent", "db", "--agent", "web-*", "--allowed-address",
            "localhost:5432",
        ])
        #expect(claims.subject == "joe")
        #expect(claims.role == .client)
        #expect(claims.allowedAgents == ["db", "web-*"])
        #expect(claims.allowedAddresses == ["localhost:5432"])
        #expect(claims.notBefore == nil)
    }

    @Test("what was not asked for is not limited")
    func nothingMore() throws {
        let claims = try claims(["--secret", Self.secret])
        #expect(claims.role == nil)
        #expect(claims.allowedAgents == nil)
        #expect(claims.allowedAddresses == nil)
    }

    @Test(
        "a token lasts as long as it was given",
        arguments: [
            (nil, 86_400), ("1s", 1), ("30s", 30), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5400),
            ("1d2h3m4s", 93_784), ("90m", 5400), ("3650d", 315_360_000),
        ] as [(String?, Int64)])
    func lifetime(text: String?, seconds: Int64) throws {
        let claims = try claims(["--secret", Self.secret] + (text.map { ["--expires-in", $0] } ?? []))
        #expect(claims.expiresAt - claims.issuedAt == seconds)
    }

    @Test("each token has an ID of its own, of 128 bits")
    func tokenIDs() throws {
        let ids = try (0..<4).map { _ in try #require(try claims(["--secret", Self.secret]).tokenID) }
        #expect(Set(ids).count == ids.count)
        for id in ids {
            #expect(id.utf8.count == 32)
            #expect(id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
        }
    }

    @Test("the time it names is the time it has", arguments: ["1s", "24h", "100d", "3650d"])
    func printedExpiry(lifetime: String) throws {
        let (end, output, _) = try Process.run(
            aditBinary(),
            ["generate-token", "--secret", Self.secret, "--sub", "joe", "--role", "client", "--expires-in", lifetime])
        try #require(end == .exited(0))
        let lines = output.split(separator: "\n")
        let printed = try #require(lines.first { $0.hasPrefix("Expires:") }).split(separator: " ")[1]
        let expiry = try Self.date("-d", String(printed), "+%s")
        #expect(try Self.verified(#require(lines.last), now: expiry - 1).expiresAt == expiry)
    }
}

import ArgumentParser
import TLSEngine
import Tokens
import Wire

struct GenerateTokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-token",
        abstract: "Make a token for an agent or a client.",
        discussion: """
            An agent's token: --role agent --sub ID. A client's: --role client --sub NAME --agent ID. The relay that \
            is to take it must have the same secret.
            """)

    @Option(
        help: ArgumentHelp(
            "The relay's secret, at least 32 bytes. Wiped from the process list; prefer --secret-file.",
            valueName: "secret"))
    var secret: String?

    @Option(
        help: ArgumentHelp(
            "Read the secret, or several with a line 'kid=ID SECRET' each, from this file.", valueName: "file"))
    var secretFile: String?

    @Option(help: ArgumentHelp("Sign with the secret of this ID. Default: the file's first.", valueName: "id"))
    var kid: String?

    @Flag(help: "Accept a secret of less than 32 bytes.")
    var insecureShortSecret = false

    @Option(help: ArgumentHelp("Whom the token is for: an agent's ID, or a client's name.", valueName: "id"))
    var sub: String?

    @Option(help: ArgumentHelp("What its holder may be: agent or client.", valueName: "role"))
    var role: String?

    @Option(
        help: ArgumentHelp(
            "Limit the token to this agent ID, in which * stands for anything. May be repeated.", valueName: "id"))
    var agent: [String] = []

    @Option(help: ArgumentHelp("Limit the token to this target address. May be repeated.", valueName: "host:port"))
    var allowedAddress: [String] = []

    @Option(
        help: ArgumentHelp(
            "Make the token useless to whoever lacks this key: SHA256:… as the holder's 'adit key show' prints it.",
            valueName: "fingerprint"))
    var bindKey: String?

    @Option(
        help: ArgumentHelp("The name of the relay that it is for, which has the same --audience.", valueName: "name"))
    var audience: String?

    @Option(help: ArgumentHelp("Who says so; a relay with the same --issuer asks for it.", valueName: "name"))
    var issuer: String?

    @Option(help: ArgumentHelp("How long it lasts: 30s, 15m, 24h, 7d, 1h30m. Default: 24h.", valueName: "duration"))
    var expiresIn: String?

    @Flag(help: "Print the token and nothing else.")
    var tokenOnly = false

    @OptionGroup var settings: SettingsOptions

    func run() throws {
        let settings = try settings.settings()
        let claims = try claims(settings)
        let tokenOnly = try settings.flag(.tokenOnly, tokenOnly)
        let token = try TokenIssuer(key: key(settings)).issue(claims)

        if claims.role == nil, claims.allowedAgents == nil {
            StandardError.write(
                """
                adit: warning: with neither --role nor --agent, this token lets its holder register as the agent \
                '\(claims.subject)' and reach every agent
                """)
        }
        if !tokenOnly { try StandardOutput.write(claims.summary) }
        try StandardOutput.write(token)
    }

    private func key(_ settings: Settings) throws(Failure) -> Keyring.Key {
        let keyring = try SecretSource(value: (.secret, secret), file: (.secretFile, secretFile), in: settings)
            .keyring(allowShort: settings.flag(.insecureShortSecret, insecureShortSecret))
        let id = try settings.value(.keyID, kid, .keyID)
        guard let key = keyring.key(id) else {
            let known = keyring.keys.compactMap { $0.id?.description }.joined(separator: ", ")
            throw .configuration(
                "no secret has the kid \(id?.description ?? "")",
                hint: known.isEmpty
                    ? "secrets get one by lines 'kid=ID SECRET' in --secret-file" : "there are: \(known)")
        }
        return key
    }

    private func claims(_ settings: Settings) throws(Failure) -> Claims {
        let now = Timestamp.now.seconds
        let lifetime = try settings.value(.expiresIn, expiresIn, .lifetime) ?? Lifetime(seconds: 86_400)
        var random = SystemRandomNumberGenerator()
        let words = [random.next(), random.next()]
        return Claims(
            subject: try settings.required(.subject, sub, .name),
            issuedAt: now,
            expiresAt: now + lifetime.seconds,
            issuer: try settings.value(.issuer, issuer, .name),
            audience: try settings.value(.audience, audience, .name).map { [$0] },
            role: try settings.value(.role, role, .role),
            allowedAgents: try settings.list(.agent, agent, .agentPattern),
            allowedAddresses: try settings.list(.allowedAddress, allowedAddress, .address)?.map(\.description),
            tokenID: words.map { word in
                String(repeating: "0", count: word.leadingZeroBitCount / 4) + String(word, radix: 16)
            }
            .joined(),
            boundKey: try settings.value(.bindKey, bindKey, .fingerprint)?.digest)
    }
}

extension Claims {
    /// What the token says, for the person who made it.
    fileprivate var summary: String {
        """
        Subject:   \(subject)
        ID:        \(tokenID ?? "none")
        Role:      \(role?.rawValue ?? "any")
        Agents:    \(allowedAgents?.joined(separator: ", ") ?? "any")
        Addresses: \(allowedAddresses?.joined(separator: ", ") ?? "any")
        Expires:   \(Timestamp(seconds: expiresAt))
        Token:
        """
    }
}

import ArgumentParser
import Logging
import Relay
import TLSEngine
import Tokens
import Wire

struct RelayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay",
        abstract: "Run a relay.",
        subcommands: [RelayTCPCommand.self])
}

struct RelayTCPCommand: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "tcp",
        abstract: "Run a relay that agents and clients reach over TCP.",
        discussion: """
            The relay authenticates both sides by tokens that its secret signed and joins their streams, which it \
            cannot read. Without --tls-cert and --tls-key it makes itself a key on first start; agents and clients \
            remember it, or pin it with --relay-key.
            """)

    @Option(
        name: [.customLong("listen"), .customLong("localup-addr")],
        help: ArgumentHelp(
            "Listen here; a port of 0 chooses a free one. Default: 0.0.0.0:4443.", valueName: "host:port"))
    var listen: String?

    @Option(
        help: ArgumentHelp(
            "When the port of --listen is 0, choose the first free one in this range.", valueName: "first-last"))
    var tcpPortRange: String?

    @Option(
        help: ArgumentHelp(
            "The secret that signs tokens, at least 32 bytes. Wiped from the process list; prefer --jwt-secret-file.",
            valueName: "secret"))
    var jwtSecret: String?

    @Option(
        help: ArgumentHelp(
            "Read the secret, or several with a line 'kid=ID SECRET' each, from this file.", valueName: "file"))
    var jwtSecretFile: String?

    @Flag(help: "Accept a secret of less than 32 bytes.")
    var insecureShortSecret = false

    @Flag(help: "Refuse tokens without a role, and clients' tokens without agents.")
    var requireScope = false

    @Option(
        help: ArgumentHelp(
            "Take only tokens for this audience: a name of this relay's, so that another's tokens do not fit.",
            valueName: "name"))
    var audience: String?

    @Option(help: ArgumentHelp("Take only tokens of this issuer.", valueName: "name"))
    var issuer: String?

    @Option(
        help: ArgumentHelp(
            "Refuse the tokens whose IDs (jti) are in this file, one a line; it is read again when it changes.",
            valueName: "file"))
    var revocations: String?

    @Option(
        help: ArgumentHelp("The relay's certificate and those between it and its authority (PEM).", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The key of that certificate (PEM).", valueName: "file"))
    var tlsKey: String?

    @OptionGroup var limits: LimitOptions
    @OptionGroup var state: StateOptions
    @OptionGroup var sandbox: SandboxOptions
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions

    func serve() async throws {
        let settings = try settings.settings()
        let logger = try log.logger(settings)
        let listen =
            try settings.value(.listen, listen, .listeningAddress) ?? HostPort(host: "0.0.0.0", port: 4443)
        let portRange = try settings.value(.tcpPortRange, tcpPortRange, .portRange)
        let requireScope = try settings.flag(.requireScope, requireScope)
        let secret = try SecretSource(
            value: (.jwtSecret, jwtSecret), file: (.jwtSecretFile, jwtSecretFile), in: settings)
        let trust = RelayTrust(
            secret: secret, allowShort: try settings.flag(.insecureShortSecret, insecureShortSecret),
            revocationPath: try settings.value(.revocations, revocations, .path), logger: logger)
        let verifier = TokenVerifier(
            keyring: try trust.keyring(), issuer: try settings.value(.issuer, issuer, .name),
            audience: try settings.value(.audience, audience, .name))
        let limits = try limits.limits(settings)
        let revocations = try trust.revocations()
        let identity = try identity(settings)
        try sandbox.enter(
            Sandbox(
                readable: settings.files(
                    (.jwtSecretFile, jwtSecretFile), (.revocations, self.revocations), (.tlsCertificate, tlsCert),
                    (.tlsKey, tlsKey)),
                writable: [], ports: []),
            settings: settings, logger: logger)
        if let descriptors = Descriptors.most, descriptors < limits.connections {
            logger.warning("The system allows \(descriptors) open files; --max-connections is \(limits.connections)")
        }

        let relay = Relay(
            configuration: RelayConfiguration(
                listen: listen, portRange: portRange, identity: identity, verifier: verifier,
                revocations: revocations, requireScope: requireScope, limits: limits,
                giveBackMemory: IdleMemory.giveBack),
            logger: logger)
        let readiness = Readiness(environment: Invocation.current.environment)
        try await RoleService.run(readiness: readiness, logger: logger) {
            try await trust.withReloads(into: relay) {
                try await relay.run { address in
                    StandardOutput.progress("Relay listening on \(address)")
                    StandardOutput.progress("Relay key: \(identity.fingerprint)")
                    readiness.ready()
                }
            }
        }
    }

    private func identity(_ settings: Settings) throws -> Identity {
        let certificate = try settings.value(.tlsCertificate, tlsCert, .path)
        let key = try settings.value(.tlsKey, tlsKey, .path)
        switch (certificate, key) {
        case (let certificate?, let key?): return try Identity.load(certificateFile: certificate, keyFile: key)
        case (nil, nil): return try state.directory(settings).identity()
        case (nil, _?): throw Failure.usage("--tls-key needs --tls-cert beside it")
        case (_?, nil): throw Failure.usage("--tls-cert needs --tls-key beside it")
        }
    }
}

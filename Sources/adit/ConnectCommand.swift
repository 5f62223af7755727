import ArgumentParser
import Connect
import EndToEnd
import Logging
import TLSEngine
import Transport
import Wire

struct ConnectCommand: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "connect",
        abstract: "Open a local port that leads to an agent's service.",
        discussion: """
            Connections to the local address come out at the agent's target. The agent's key is remembered on first \
            use, and a change refused, unless it is pinned with --agent-key. The tunnel reconnects by itself.

            A connection string, which the agent prints, stands for --relay, --agent-id and --agent-key.
            """)

    @Argument(help: ArgumentHelp("adit://HOST:PORT/AGENT-ID#SHA256:…", valueName: "connection-string"))
    var connectionString: String?

    @OptionGroup var relay: RelayOptions

    @Option(help: ArgumentHelp("Listen here for connections; a port of 0 chooses a free one.", valueName: "host:port"))
    var localAddress: String?

    @Option(
        help: ArgumentHelp(
            "The address to reach at the agent. Default: the agent's target, the only one it allows.",
            valueName: "host:port"))
    var remoteAddress: String?

    @Option(
        help: ArgumentHelp(
            "Trust the agent by this key alone, SHA256:… as the agent prints it.", valueName: "fingerprint"))
    var agentKey: String?

    @Flag(help: "End when the tunnel cannot be opened, instead of trying again.")
    var exitOnFailure = false

    @OptionGroup var state: StateOptions
    @OptionGroup var sandbox: SandboxOptions
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions

    func serve() async throws {
        let settings = try settings.settings()
        let logger = try log.logger(settings)
        let named = try connectionString.map { text throws(Failure) in
            try ValueFormat.connectionString.value(of: SettingText(text: text, origin: "connection string"))
        }
        guard let address = try settings.agreed(.relay, relay.relay, .address, named?.relay) else {
            throw Failure.missing(.relay)
        }
        guard let agentID = try settings.agreed(.agentID, relay.agentID, .agentID, named?.agentID) else {
            throw Failure.missing(.agentID)
        }
        let local = try settings.required(.localAddress, localAddress, .listeningAddress)
        let remote = try settings.value(.remoteAddress, remoteAddress, .address)
        let exitOnFailure = try settings.flag(.exitOnFailure, exitOnFailure)
        let pin = try settings.agreed(.agentKey, agentKey, .fingerprint, named?.agentKey)
        let token = try relay.tokenSource(settings)
        let state = try state.directory(settings)
        let relayTrust = try relay.trust(settings, relay: address, state: state)
        let agentTrust =
            try pin.map(KeyTrust.pinned)
            ?? relay.known(settings, file: state.knownAgents, name: "\(address)/\(agentID)")
        let identity = try state.identity()
        try sandbox.enter(
            Sandbox(readable: relay.files(settings), writable: [state.path], ports: [address.port]),
            settings: settings, logger: logger)

        let readiness = Readiness(environment: Invocation.current.environment)
        let connect = Connect(
            configuration: ConnectConfiguration(
                relay: address, agentID: agentID, local: local, remote: remote, identity: identity,
                relayTrust: relayTrust,
                agentTrust: agentTrust, token: token, exitOnFailure: exitOnFailure),
            logger: logger,
            onEvent: { event in
                show(event, logger)
                // Also when the relay or the agent is not there: a connect that waits for them has started, and a
                // manager must not end it for that.
                readiness.ready()
            })
        do {
            try await RoleService.run(readiness: readiness, logger: logger) { try await connect.run() }
        } catch LinkFailure.refused(let refusal) where refusal.code == .agentNotFound {
            throw Failure(
                .unavailable, "agent not found: \(agentID)",
                hint:
                    "an agent of that ID is not connected to this relay; without --exit-on-failure, connect waits for it"
            )
        }
    }
}

/// Shows an event to people and the log. May be called from any thread.
private func show(_ event: ConnectEvent, _ logger: Logger) {
    switch event {
    case .connectedToRelay(let relay): StandardOutput.progress("Connected to relay: \(relay)")
    case .connectedToAgent(let agentID, _): StandardOutput.progress("Connected to agent: \(agentID)")
    case .ready(let local, let target): StandardOutput.progress("Tunnel ready: \(local) → \(target)")
    case .agentNotFound(let agentID, let delay):
        logger.warning("Agent not found: \(agentID); trying again in \(secondsText(delay)) s")
    case .disconnected(let failure, let delay): logger.logDisconnected(failure, retryAfterMilliseconds: delay)
    }
}

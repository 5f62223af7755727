import Agent
import ArgumentParser
import EndToEnd
import Logging
import Synchronization
import TLSEngine
import Wire

struct AgentCommand: RoleCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent",
        abstract: "Offer a service of this machine to clients of a relay.",
        discussion: """
            The agent dials the relay, registers under its ID, and forwards what clients open to one address of its \
            own machine. It reconnects by itself.
            """)

    @OptionGroup var relay: RelayOptions

    @Option(
        help: ArgumentHelp("The service to offer. A loopback address, such as localhost:5432.", valueName: "host:port"))
    var targetAddress: String?

    @Option(
        help: ArgumentHelp(
            "Take only clients whose key's fingerprint is in this file, one a line, and perhaps a comment behind it.",
            valueName: "file"))
    var authorizedClients: String?

    @Option(
        help: ArgumentHelp(
            "Take only clients of this ID, the --sub of their tokens, by the relay's word. May be repeated.",
            valueName: "id"))
    var allowClient: [String] = []

    @Option(help: ArgumentHelp("Connections at once over one session. Default: 16384.", valueName: "count"))
    var maxForwards: String?

    @OptionGroup var state: StateOptions
    @OptionGroup var sandbox: SandboxOptions
    @OptionGroup var log: LogOptions
    @OptionGroup var settings: SettingsOptions

    func serve() async throws {
        let settings = try settings.settings()
        let logger = try log.logger(settings)
        let address = try relay.relay(settings)
        let agentID = try relay.agentID(settings)
        let target = try settings.required(.targetAddress, targetAddress, .target)
        let token = try relay.tokenSource(settings)
        let state = try state.directory(settings)
        let trust = try relay.trust(settings, relay: address, state: state)
        let clients = try settings.value(.authorizedClients, authorizedClients, .path).map(
            AuthorizedClients.init(path:))
        let allowed = try settings.list(.allowClient, allowClient, .name)
        let mostForwards = try settings.value(.maxForwards, maxForwards, .count) ?? AgentSession.mostForwards
        let identity = try state.identity()
        try sandbox.enter(
            Sandbox(
                readable: relay.files(settings) + settings.files((.authorizedClients, authorizedClients)),
                writable: [state.path], ports: [address.port, target.port]),
            settings: settings, logger: logger)

        let readiness = Readiness(environment: Invocation.current.environment)
        let progress = AgentProgress(key: identity.fingerprint, readiness: readiness, logger: logger)
        let agent = Agent(
            configuration: AgentConfiguration(
                relay: address, agentID: agentID, target: target, identity: identity, relayTrust: trust, token: token,
                authorizedClients: clients, allowedClients: allowed, mostForwards: mostForwards),
            logger: logger, onEvent: progress.note)
        try await RoleService.run(readiness: readiness, logger: logger) { try await agent.run() }
    }
}

/// Shows an agent's events to people, the log and the service manager. May be called from any thread.
private final class AgentProgress: Sendable {
    private let key: Fingerprint
    private let readiness: Readiness
    private let logger: Logger
    private let hasRegistered = Mutex(false)

    init(key: Fingerprint, readiness: Readiness, logger: Logger) {
        self.key = key
        self.readiness = readiness
        self.logger = logger
    }

    func note(_ event: AgentEvent) {
        switch event {
        case .registered(let relay, let agentID):
            StandardOutput.progress("Connected to relay: \(relay)")
            let isFirst = hasRegistered.withLock { hasRegistered in
                defer { hasRegistered = true }
                return !hasRegistered
            }
            guard isFirst else { return }
            StandardOutput.progress("Agent ID: \(agentID)")
            StandardOutput.progress("Agent key: \(key)")
            let connectionString = ConnectionString(relay: relay, agentID: agentID, agentKey: key)
            StandardOutput.progress("Connection string: \(connectionString)")
            StandardOutput.progress("Waiting for client connections...")
        case .disconnected(let failure, let delay):
            logger.logDisconnected(failure, retryAfterMilliseconds: delay)
        }
        // Also when the relay cannot be reached: an agent that waits for its relay has started, and a manager must not
        // end it for that.
        readiness.ready()
    }
}

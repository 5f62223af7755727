import EndToEnd
package import Logging
import Mux
package import NIOCore
import Transport
import Wire

/// Registers at the relay, and again whenever the link is lost, until its task is cancelled.
package struct Agent: Sendable {
    private let configuration: AgentConfiguration
    private let logger: Logger
    private let onEvent: @Sendable (AgentEvent) -> Void

    /// Nothing is dialed before `run`. `onEvent` may be called on any thread.
    package init(
        configuration: AgentConfiguration, logger: Logger, onEvent: @escaping @Sendable (AgentEvent) -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.onEvent = onEvent
    }

    /// Returns when cancelled. Throws `AgentFailure` when it cannot begin, and `LinkFailure` when trying again is pointless: the
    /// relay's key is not the expected one, or the relay refuses this token or ID.
    package func run() async throws {
        try await withEventLoops(1) { try await run(on: $0.any()) }
    }

    /// The same on an event loop that is there already.
    package func run(on eventLoop: any EventLoop) async throws {
        do {
            try await SocketPipe.prepare(on: eventLoop)
        } catch {
            throw AgentFailure.cannotWatchSockets(reason: Link.reason(of: error))
        }
        let forwards = Forwards(target: configuration.target, eventLoop: eventLoop, logger: logger)
        let admission = SessionAdmission(
            tls: try SessionTLS(role: .agent, identity: configuration.identity),
            clients: configuration.authorizedClients, allowedClients: configuration.allowedClients, forwards: forwards,
            mostForwards: configuration.mostForwards, logger: logger)
        let dial = try RelayDial(
            relay: configuration.relay, identity: configuration.identity, trust: configuration.relayTrust,
            role: .agent, agentID: configuration.agentID, token: configuration.token, logger: logger)
        try await RelayDialer(dial).keepLinked(
            on: eventLoop,
            prepare: { link in link.onOpened = { admission.receivedOffer(on: $0) } },
            serve: { link in
                onEvent(.registered(relay: configuration.relay, agentID: configuration.agentID))
                return try await link.ended()
            },
            onLost: { failure, delay in
                onEvent(.disconnected(failure, retryAfterMilliseconds: delay.nanoseconds / 1_000_000))
            })
    }
}

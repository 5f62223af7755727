import EndToEnd
package import Logging
package import NIOCore
import Transport
import Wire

/// Listens on a local port and carries its connections to an agent's target, over one session, until its task is
/// cancelled. A lost link or session is replaced by itself.
package struct Connect: Sendable {
    private let configuration: ConnectConfiguration
    private let logger: Logger
    private let onEvent: @Sendable (ConnectEvent) -> Void

    /// Nothing is listened on or dialed before `run`. `onEvent` may be called on any thread.
    package init(
        configuration: ConnectConfiguration, logger: Logger, onEvent: @escaping @Sendable (ConnectEvent) -> Void
    ) {
        self.configuration = configuration
        self.logger = logger
        self.onEvent = onEvent
    }

    /// Returns when cancelled. Throws `ConnectFailure` when the local address cannot be had, and `LinkFailure` when
    /// trying again is pointless, or, with `exitOnFailure`, when anything fails.
    package func run() async throws {
        try await withEventLoops(1) { try await run(on: $0.any()) }
    }

    /// The same on an event loop that is there already.
    package func run(on eventLoop: any EventLoop) async throws {
        let dial = try RelayDial(
            relay: configuration.relay, identity: configuration.identity, trust: configuration.relayTrust,
            role: .client, agentID: nil, token: configuration.token, logger: logger)
        let forwards = Forwards(eventLoop: eventLoop, logger: logger)
        let listener = try await LocalListener.bind(configuration.local, forwards: forwards, on: eventLoop)
        let sessions = Sessions(
            configuration: configuration, tls: try SessionTLS(role: .connect, identity: configuration.identity),
            forwards: forwards, local: listener.address, logger: logger, onEvent: onEvent)
        do {
            try await RelayDialer(dial).keepLinked(
                on: eventLoop,
                serve: { link in
                    onEvent(.connectedToRelay(configuration.relay))
                    return try await sessions.keep(over: link)
                },
                onLost: { failure, delay in
                    onEvent(.disconnected(failure, retryAfterMilliseconds: delay.nanoseconds / 1_000_000))
                },
                givesUp: configuration.exitOnFailure)
        } catch {
            await listener.close()
            throw error
        }
        await listener.close()
    }
}

package import Logging
import NIOCore
import NIOPosix
import Tokens
import Transport
package import Wire

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Serves agents and clients until its task is cancelled.
package struct Relay: Sendable {
    private let configuration: RelayConfiguration
    private let logger: Logger

    /// Nothing is listened on before `run`.
    package init(configuration: RelayConfiguration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Returns when cancelled, after every peer has been told. `listening` is called once, with the port chosen. Throws
    /// `RelayFailure.cannotListen`.
    package func run(listening: @escaping @Sendable (HostPort) -> Void) async throws {
        try await withEventLoops(System.coreCount) { try await run(on: $0, listening: listening) }
    }

    private func run(
        on group: any EventLoopGroup, listening: @escaping @Sendable (HostPort) -> Void
    ) async throws {
        let hall = Hall(
            policy: TokenPolicy(verifier: configuration.verifier),
            authorization: Authorization(requireScope: configuration.requireScope), logger: logger,
            now: { Int64(time(nil)) })
        let listener = try await listen(on: group, hall: hall)
        listening(listener.address)
        try await listener.serve()
        for link in hall.links.all {
            // What a peer is told here is in its socket when this returns, unless that is full.
            await withCheckedContinuation { told in
                link.perform {
                    $0.end(Refusal(.draining, "the relay is shutting down"))
                    told.resume()
                }
            }
        }
    }

    /// The address itself, or the first free port of the range.
    private func listen(on group: any EventLoopGroup, hall: Hall) async throws -> LinkListener {
        let ports =
            configuration.listen.port == 0
            ? configuration.portRange ?? 0...0 : configuration.listen.port...configuration.listen.port
        var reason = "no port is free"
        for port in ports {
            let address = HostPort(host: configuration.listen.host, port: port)
            do {
                return try await LinkListener.bind(address, identity: configuration.identity, on: group) { link, ip in
                    PeerLink(link, ip: ip, hall: hall)
                }
            } catch LinkFailure.unreachable(_, let why) {
                reason = ports.count == 1 ? why : "no port of \(ports.lowerBound)-\(ports.upperBound) is free: \(why)"
            }
        }
        throw RelayFailure.cannotListen(address: configuration.listen, reason: reason)
    }
}

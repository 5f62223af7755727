package import Logging
import Mux
import NIOCore
import NIOPosix
package import Tokens
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
    private let hall: Hall

    /// Nothing is listened on before `run`.
    package init(configuration: RelayConfiguration, logger: Logger) {
        self.configuration = configuration
        hall = Hall(
            policy: TokenPolicy(verifier: configuration.verifier, revocations: configuration.revocations),
            authorization: Authorization(requireScope: configuration.requireScope), limits: configuration.limits,
            logger: logger, now: { Int64(time(nil)) })
    }

    /// Takes the tokens of this ring from now on, and no others. Links under a key that it lacks end. May be called from any thread.
    package func use(_ keyring: Keyring) {
        hall.policy.use(keyring)
        review()
    }

    /// Refuses these tokens from now on. Their links end. May be called from any thread.
    package func use(_ revocations: Revocations) {
        hall.policy.use(revocations)
        review()
    }

    /// A link that is being admitted has either seen the new rules or is in the table, and reviewed behind its hello.
    private func review() {
        for link in hall.links.all { link.perform { $0.review() } }
    }

    /// Returns when cancelled, after every peer has been told. `listening` is called once, with the port chosen. Throws
    /// `RelayFailure.cannotListen`.
    package func run(listening: @escaping @Sendable (HostPort) -> Void) async throws {
        try await withEventLoops(System.coreCount) { try await run(on: $0, listening: listening) }
    }

    private func run(
        on group: any EventLoopGroup, listening: @escaping @Sendable (HostPort) -> Void
    ) async throws {
        let listener = try await listen(on: group)
        listening(listener.address)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await MemoryTrim.run(at: hall.door, giveBack: configuration.giveBackMemory) }
            group.addTask { await hall.door.dismissLate() }
            defer { group.cancelAll() }
            try await listener.serve()
        }
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
    private func listen(on group: any EventLoopGroup) async throws -> LinkListener {
        let ports =
            configuration.listen.port == 0
            ? configuration.portRange ?? 0...0 : configuration.listen.port...configuration.listen.port
        var reason = "no port is free"
        for port in ports {
            let address = HostPort(host: configuration.listen.host, port: port)
            do {
                return try await LinkListener.bind(
                    address, identity: configuration.identity, limits: LinkLimits(configuration.limits), on: group,
                    enter: hall.enter, admit: { [hall] in PeerLink($0, visit: $1, hall: hall) },
                    silent: { [hall] in hall.logger.info("Link ended: ip=\($0.ip), reason=\($1)") })
            } catch LinkFailure.unreachable(_, let why) {
                reason = ports.count == 1 ? why : "no port of \(ports.lowerBound)-\(ports.upperBound) is free: \(why)"
            }
        }
        throw RelayFailure.cannotListen(address: configuration.listen, reason: reason)
    }
}

extension Hall {
    /// Lets a connection in, or says in the log why not.
    fileprivate func enter(_ channel: any Channel) -> Visit? {
        do throws(Door.Objection) {
            return try door.enter(channel.remoteAddress) { [limits] in
                channel.pipeline.fireErrorCaught(Dismissed(reason: $0.reason(under: limits)))
            }
        } catch {
            limitedLog.warning(
                "Connection refused: \(error.rawValue), ip=\(channel.remoteAddress?.ipAddress ?? "unknown")")
            return nil
        }
    }
}

/// What the log says of a connection that had to leave before it said anything.
private struct Dismissed: Error, CustomStringConvertible {
    let reason: String
    var description: String { reason }
}

extension LinkLimits {
    fileprivate init(_ limits: RelayLimits) {
        self.init()
        bufferedBytes = limits.bufferedBytesPerLink
        backlogs = Backlogs(limit: limits.bufferedBytes)
        mux.controlFramesPerSecond = limits.controlFramesPerSecond
    }
}

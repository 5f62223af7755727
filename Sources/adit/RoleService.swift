import Dispatch
import Logging
import ServiceLifecycle
import TLSEngine
import UnixSignals

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A relay, an agent or a connect as a service: SIGTERM or SIGINT ends it in good order, a second one at once.
struct RoleService: Service {
    private let readiness: Readiness
    private let role: @Sendable () async throws -> Void

    /// Runs `role` until it ends or a signal cancels it.
    ///
    /// - Parameter role: Ends soon after its task is cancelled; throws what keeps it from going on.
    /// - Throws: What the role throws by itself. A role that was told to stop has stopped, whatever it throws then.
    static func run(
        readiness: Readiness, logger: Logger, role: @escaping @Sendable () async throws -> Void
    ) async throws {
        Descriptors.raiseLimit()
        IdleMemory.watch()
        logger.debug("TLS by \(TLSContext.library)")
        let service = RoleService(readiness: readiness, role: role)
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [
                    .init(service: service, successTerminationBehavior: .gracefullyShutdownGroup, serviceName: "adit")
                ],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger))
        try await group.run()
    }

    func run() async throws {
        do {
            try await withGracefulShutdownHandler {
                try await cancelWhenGracefulShutdown(role)
            } onGracefulShutdown: {
                endAtNextSignal()
                readiness.stopping()
            }
        } catch {
            guard Task.isShuttingDownGracefully else { throw error }
        }
    }
}

/// After the first signal, one more ends the process there and then, as it would end a program that knows no signals.
private func endAtNextSignal() {
    for number in [SIGTERM, SIGINT] {
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        // Nobody else holds the source: its handler does, for the rest of the process.
        source.setEventHandler {
            source.cancel()
            _exit(128 + number)
        }
        source.activate()
    }
}

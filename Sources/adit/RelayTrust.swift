import Logging
import Relay
import Synchronization
import Tokens
import UnixSignals

/// What a relay goes by in judging tokens, as far as it lies in files: its secrets, read again at SIGHUP, and its revocations, read again
/// then and when they change. What cannot be read or understood leaves what was there before.
final class RelayTrust: Sendable {
    /// How often the file of revocations is looked at. A revoked token's links are to end within a second.
    private static let interval = Duration.milliseconds(250)

    private let secret: SecretSource
    private let allowShort: Bool
    private let logger: Logger
    private let revocationFile: Mutex<RevocationFile?>

    init(secret: SecretSource, allowShort: Bool, revocationPath: String?, logger: Logger) {
        self.secret = secret
        self.allowShort = allowShort
        self.logger = logger
        revocationFile = Mutex(revocationPath.map(RevocationFile.init(path:)))
    }

    /// - Throws: `.configuration` for a file that cannot be read or understood, or a secret that could be guessed.
    func keyring() throws(Failure) -> Keyring { try secret.keyring(allowShort: allowShort) }

    /// - Throws: `.configuration` for a file that cannot be read or understood.
    func revocations() throws(Failure) -> Revocations {
        try revocationFile.withLock { file throws(Failure) in try file?.read() } ?? Revocations()
    }

    /// Runs `body`, and keeps `relay` up to date meanwhile.
    func withReloads(into relay: Relay, _ body: () async throws -> Void) async throws {
        // From here on SIGHUP does not end the process any more.
        let hangups = await UnixSignalsSequence(trapping: .sighup)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in hangups { self.reload(into: relay) } }
            group.addTask { await self.follow(into: relay) }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Reads everything again, whether or not it has changed.
    private func reload(into relay: Relay) {
        do throws(Failure) {
            let keyring = try keyring()
            relay.use(keyring)
            let names = keyring.keys.map { $0.id?.description ?? "without a kid" }.joined(separator: ", ")
            logger.notice("Secrets read again: \(names)")
        } catch {
            logger.error("Secrets not read again, those from before stay: \(error)")
        }
        readRevocations(into: relay, evenIfUnchanged: true)
    }

    /// Follows the file of revocations, if there is one, until the task is cancelled.
    private func follow(into relay: Relay) async {
        guard revocationFile.withLock({ $0 != nil }) else { return }
        while !Task.isCancelled {
            readRevocations(into: relay, evenIfUnchanged: false)
            do { try await Task.sleep(for: Self.interval) } catch { return }
        }
    }

    private func readRevocations(into relay: Relay, evenIfUnchanged: Bool) {
        revocationFile.withLock { file in
            guard let known = file, evenIfUnchanged || known.hasChanged else { return }
            do throws(Failure) {
                guard let revocations = try file?.read(), evenIfUnchanged || revocations != known.latest else { return }
                relay.use(revocations)
                logger.notice("Revocations read again: tokens=\(revocations.count)")
            } catch {
                guard file?.isNewFailure(error) == true || evenIfUnchanged else { return }
                logger.error("Revocations not read again, those from before stay: \(error)")
            }
        }
    }
}

import Synchronization
package import TLSEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The clients that an agent admits (`--authorized-clients FILE`): one `[NAME] SHA256:… [COMMENT]` a line, with blank lines and lines
/// of `#` comments between. Only the key counts; a name is for the reader. An edit takes effect at the next handshake.
package final class AuthorizedClients: Sendable {
    private let path: String
    private let latest: Mutex<Snapshot>

    /// Reads the file once, so that a mistake in it is found at start. Throws `.file` and `.malformed`.
    package init(path: String) throws(KnownKeysError) {
        self.path = path
        latest = Mutex(try Snapshot(reading: path))
    }

    /// Whether the file lists `fingerprint`. Asks for the file's state each time and reads it when that has changed; a file that
    /// cannot be read or understood admits nobody. Cheap enough for a check during a handshake, on any thread.
    package func contains(_ fingerprint: Fingerprint) -> Bool {
        current().keys.contains(fingerprint)
    }

    /// Why the file admits nobody at present; nil while it can be read. For the log, beside a refusal.
    package var failure: KnownKeysError? {
        current().failure
    }

    private func current() -> Snapshot {
        let known = latest.withLock { $0 }
        if known.isCurrent(path) { return known }
        let snapshot: Snapshot
        do throws(KnownKeysError) {
            snapshot = try Snapshot(reading: path)
        } catch {
            snapshot = Snapshot(failure: error)
        }
        latest.withLock { $0 = snapshot }
        return snapshot
    }
}

/// What the file held when it was last read.
private struct Snapshot {
    let keys: Set<Fingerprint>
    let failure: KnownKeysError?
    /// nil for what must be read anew in any case.
    private let version: FileVersion?

    init(failure: KnownKeysError) {
        keys = []
        self.failure = failure
        version = nil
    }

    init(reading path: String) throws(KnownKeysError) {
        guard let file = try KeyFile.open(path, O_RDONLY) else {
            throw .file(path: path, reason: "does not exist")
        }
        version = FileVersion(try file.status())
        keys = Set(try file.readLines(.optional).all.map(\.key))
        failure = nil
    }

    func isCurrent(_ path: String) -> Bool {
        version?.isCurrent(at: path) ?? false
    }
}

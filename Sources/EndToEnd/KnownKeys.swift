package import TLSEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The keys that peers were first seen with: `known_agents` or `known_relays`, one `NAME SHA256:… [COMMENT]` a line, with blank lines
/// and lines of `#` comments between. Trust on first use: whoever comes later under a known name must hold a key that stands there.
///
/// Any number of threads and processes may use one file, which every call reads: `lookup` is short enough for a check during a
/// handshake, while `remember` waits for the disk.
package final class KnownKeys: Sendable {
    /// The file, which need not exist yet.
    package let path: String
    private let hashesNames: Bool

    /// Reads nothing yet: see `lookup`. With `hashesNames`, names that `remember` adds cannot be read from the file.
    package init(path: String, hashesNames: Bool = false) {
        self.path = path
        self.hashesNames = hashesNames
    }

    /// One of the keys that a name is known with.
    package struct Entry: Equatable, Sendable {
        package let key: Fingerprint
        /// The line of the file that says so, counted from 1.
        package let line: Int

        package init(key: Fingerprint, line: Int) {
            self.key = key
            self.line = line
        }
    }

    /// What the file says about a name and a key.
    package enum Lookup: Equatable, Sendable {
        /// The name does not occur.
        case unknown
        /// The name occurs with this key.
        case matches
        /// The name occurs, but with other keys alone.
        case changed(known: [Entry])
    }

    /// Reads the file anew each time; a missing file knows nothing. Names match to the byte.
    /// Throws `.file` when it cannot be read and `.malformed` for the first line that it cannot make sense of.
    package func lookup(_ name: String, _ fingerprint: Fingerprint) throws(KnownKeysError) -> Lookup {
        guard let file = try KeyFile.open(path, O_RDONLY) else { return .unknown }
        try file.lock(LOCK_SH)
        return try Self.find(name, fingerprint, in: file.readLines(.required))
    }

    /// Adds a line for `name`, durably, and makes the file (mode 0600) and its directory (mode 0700) if need be. Does nothing when
    /// the line is there. Throws `.changed` when another process has meanwhile remembered another key, `.name` for a name that no
    /// line can hold, `.malformed` as `lookup` does, and `.file`.
    package func remember(_ name: String, _ fingerprint: Fingerprint) throws(KnownKeysError) {
        guard KeyLine.canHold(name) else { throw .name(name) }
        let written: String
        do throws(TLSError) {
            written = hashesNames ? try HashedName(hashing: name).description : name
            try createPrivateDirectory(containing: path)
        } catch {
            throw .file(path: path, reason: "\(error)")
        }
        guard let file = try KeyFile.open(path, O_RDWR | O_APPEND | O_CREAT) else {
            throw .file(path: path, reason: "cannot be made")
        }
        try file.lock(LOCK_EX)
        let lines = try file.readLines(.required)
        switch Self.find(name, fingerprint, in: lines) {
        case .matches: return
        case .changed(let known): throw .changed(path: path, name: name, known: known.map(\.key))
        case .unknown: try file.append("\(lines.endsInsideLine ? "\n" : "")\(written) \(fingerprint)\n")
        }
    }

    /// Puts `key` where a line of `name` has one of `predecessors`, durably; the rest of the line stays. Throws as `lookup`.
    package func replace(
        _ name: String, _ predecessors: [Fingerprint], by key: Fingerprint
    ) throws(KnownKeysError) {
        guard let file = try KeyFile.open(path, O_RDWR) else { return }
        try file.lock(LOCK_EX)
        for line in try file.readLines(.required).all
        where predecessors.contains(line.key) && line.name?.stands(for: name) ?? false {
            // All fingerprints are of one length, so nothing has to move, and no moment sees half a file.
            try file.overwrite(key.description, at: line.keyOffset)
        }
    }

    private static func find(_ name: String, _ fingerprint: Fingerprint, in lines: KeyFile.Lines) -> Lookup {
        let known = lines.all.filter { $0.name?.stands(for: name) ?? false }
        if known.isEmpty { return .unknown }
        if known.contains(where: { $0.key == fingerprint }) { return .matches }
        return .changed(known: known.map { Entry(key: $0.key, line: $0.number) })
    }
}

/// What can be wrong with a file of keys.
package enum KnownKeysError: Error, Equatable, Sendable {
    /// The file could not be read or written.
    case file(path: String, reason: String)
    /// A line, counted from 1, is not of the file's form.
    case malformed(path: String, line: Int, reason: String)
    /// The name is known with other keys.
    case changed(path: String, name: String, known: [Fingerprint])
    /// The name is empty or has blanks, control characters or a leading `#` or `|`.
    case name(String)
}

extension KnownKeysError: CustomStringConvertible {
    /// One line for a log: lower case, no full stop.
    package var description: String {
        switch self {
        case .file(let path, let reason): "\(path): \(reason)"
        case .malformed(let path, let line, let reason): "\(path):\(line): \(reason)"
        case .changed(let path, let name, let known):
            "\(path): \(name) is known with another key: \(known.map(\.description).joined(separator: ", "))"
        case .name(let name): "not a name that can be remembered: \(name.debugDescription)"
        }
    }
}

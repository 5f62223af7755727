#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An open text file of fingerprints, closed (and unlocked) when this value ends.
struct KeyFile: ~Copyable {
    private let path: String
    private let descriptor: Int32

    /// More lines than anybody keeps by hand; a wrong path must not fill memory.
    private static let limit = 4 << 20

    /// nil when there is no such file and `flags` do not make one. Throws `.file` for what is no regular file too.
    static func open(_ path: String, _ flags: Int32) throws(KnownKeysError) -> KeyFile? {
        // Not to wait for a writer, should the path name a pipe.
        let descriptor = systemOpen(path, flags | O_CLOEXEC | O_NONBLOCK, 0o600)
        guard descriptor >= 0 else {
            let code = errno
            if code == ENOENT, flags & O_CREAT == 0 { return nil }
            throw .file(path: path, reason: reason(code))
        }
        let file = KeyFile(path: path, descriptor: descriptor)
        guard try file.status().st_mode & S_IFMT == S_IFREG else {
            throw .file(path: path, reason: "not a regular file")
        }
        return file
    }

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = descriptor
    }

    deinit {
        close(descriptor)
    }

    func status() throws(KnownKeysError) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure() }
        return status
    }

    /// Waits for other processes, and other threads of this one, that hold the file: `LOCK_SH` to read, `LOCK_EX` to write.
    func lock(_ operation: Int32) throws(KnownKeysError) {
        while flock(descriptor, operation) != 0 {
            guard errno == EINTR else { throw failure() }
        }
    }

    // MARK: - Lines

    struct Lines {
        let all: [KeyLine]
        /// Whether the last line lacks its line feed.
        let endsInsideLine: Bool
    }

    /// All lines but empty ones and comments. Throws `.file`, and `.malformed` for the first line that is not of the form.
    func readLines(_ naming: KeyLine.Naming) throws(KnownKeysError) -> Lines {
        let bytes = try readAll()
        var lines: [KeyLine] = []
        for (index, raw) in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).enumerated() {
            do throws(KeyLine.Malformed) {
                if let line = try KeyLine(raw, number: index + 1, naming: naming) { lines.append(line) }
            } catch {
                throw .malformed(path: path, line: index + 1, reason: error.reason)
            }
        }
        return Lines(all: lines, endsInsideLine: bytes.last.map { $0 != UInt8(ascii: "\n") } ?? false)
    }

    private func readAll() throws(KnownKeysError) -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure() }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= Self.limit else { throw .file(path: path, reason: "too large") }
        }
    }

    /// Adds `text` at the end in one write, durably. The file must have been opened with `O_APPEND`.
    func append(_ text: String) throws(KnownKeysError) {
        let bytes = Array(text.utf8)
        let size = try status().st_size
        let count = write(descriptor, bytes, bytes.count)
        guard count == bytes.count, fsync(descriptor) == 0 else {
            let error: KnownKeysError =
                count < 0 ? failure() : .file(path: path, reason: "could not be written to its end")
            // Half a line would make the whole file unreadable.
            ftruncate(descriptor, size)
            throw error
        }
    }

    /// Writes `text` over what stands at `offset`, durably. The file must not have been opened with `O_APPEND`.
    func overwrite(_ text: String, at offset: Int) throws(KnownKeysError) {
        let bytes = Array(text.utf8)
        let count = pwrite(descriptor, bytes, bytes.count, off_t(offset))
        guard count == bytes.count, fsync(descriptor) == 0 else {
            throw count < 0 ? failure() : .file(path: path, reason: "could not be written")
        }
    }

    private func failure() -> KnownKeysError {
        .file(path: path, reason: reason(errno))
    }
}

private func systemOpen(_ path: String, _ flags: Int32, _ mode: mode_t) -> Int32 {
    open(path, flags, mode)
}

private func reason(_ code: Int32) -> String {
    String(cString: strerror(code))
}

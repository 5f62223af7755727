#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A directory of the test's own, mode 0700, removed with all that is in it when its last reference goes.
package final class TemporaryDirectory: Sendable {
    package let path: String

    /// - Throws: `ProcessError` where nothing can be written.
    package init() throws {
        var template = Array("/tmp/adit-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw ProcessError("no temporary directory: \(systemReason(errno))") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { Self.remove(path) }

    /// Writes a file in the directory and returns its path. `mode` is no `mode_t`: a release build takes that for nobody's.
    ///
    /// - Throws: `ProcessError` with the system's reason.
    @discardableResult
    package func write(_ text: String, to name: String, mode: UInt16 = 0o600) throws -> String {
        let file = "\(path)/\(name)"
        let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode_t(mode))
        guard descriptor >= 0 else { throw ProcessError("cannot write \(file): \(systemReason(errno))") }
        let end = Pipe.End(descriptor)
        defer { end.close() }
        try end.write(text)
        return file
    }

    private static func remove(_ path: String) {
        // A link to a directory is removed, and not what it leads to.
        if unlink(path) == 0 || rmdir(path) == 0 { return }
        for name in (try? names(in: path)) ?? [] { remove("\(path)/\(name)") }
        rmdir(path)
    }
}

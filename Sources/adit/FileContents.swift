#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Small files that operators write: secrets, tokens, settings.
enum FileContents {
    /// What most files have at most; a device or a disk image named by mistake ends here.
    static let maximumBytes = 64 * 1024

    /// The bytes of the file.
    ///
    /// - Parameters:
    ///   - what: What the file is to the user, for the error: `token file`.
    ///   - maximumBytes: More is an error.
    /// - Throws: `.configuration` with the file's name and the system's reason.
    static func bytes(
        of path: String, what: String, maximumBytes: Int = maximumBytes
    ) throws(Failure) -> [UInt8] {
        func failure(_ reason: String) -> Failure {
            .configuration("cannot read the \(what) \(path): \(reason)")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(systemReason(errno)) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure(systemReason(errno)) }
            guard count > 0 else { return bytes }
            bytes += chunk.prefix(count)
            guard bytes.count <= maximumBytes else { throw failure("it is larger than \(maximumBytes) bytes") }
        }
    }

    /// The file's text.
    ///
    /// - Throws: As `bytes(of:what:)`, and for bytes that are not UTF-8.
    static func text(of path: String, what: String) throws(Failure) -> String {
        guard let text = String(validating: try bytes(of: path, what: what), as: UTF8.self) else {
            throw .configuration("cannot read the \(what) \(path): it is not UTF-8 text")
        }
        return text
    }

    /// Makes sure that a file of any size can be read, for a library that reads it later and says less about why it cannot.
    ///
    /// - Throws: As `bytes(of:what:)`.
    static func requireReadable(_ path: String, what: String) throws(Failure) {
        guard access(path, R_OK) == 0 else {
            throw .configuration("cannot read the \(what) \(path): \(systemReason(errno))")
        }
    }

    /// Whether something stands at `path`, of whatever kind.
    static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }
}

/// `No such file or directory` and the like.
func systemReason(_ code: Int32) -> String {
    unsafe String(cString: strerror(code))
}

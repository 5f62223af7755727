import COpenSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Files that nobody else may see.
enum PrivateFile {
    /// More than any chain of certificates needs; keeps a wrong path (`/dev/zero`) from filling memory.
    private static let limit = 1 << 20

    /// The contents of a file that is the user's alone; nil when there is none.
    /// Throws `.permissions` when others can read or write it, `.file` when it cannot be read.
    static func read(_ path: String) throws(TLSError) -> FileContents? {
        try read(path, mustBePrivate: true)
    }

    /// The contents of a file that an operator named, whatever its mode. Throws `.file` when it cannot be read.
    static func readAny(_ path: String) throws(TLSError) -> FileContents {
        guard let contents = try read(path, mustBePrivate: false) else {
            throw .file(path: path, reason: reason(ENOENT))
        }
        return contents
    }

    private static func read(_ path: String, mustBePrivate: Bool) throws(TLSError) -> FileContents? {
        // Not to wait for a writer, should the path name a pipe.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let code = errno
            if code == ENOENT { return nil }
            throw .file(path: path, reason: reason(code))
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .file(path: path, reason: reason(errno)) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .file(path: path, reason: "not a regular file") }
        if mustBePrivate, status.st_mode & 0o077 != 0 {
            throw .permissions(path: path, mode: UInt16(truncatingIfNeeded: status.st_mode & 0o7777))
        }
        guard status.st_size <= limit else { throw .file(path: path, reason: "too large") }
        return try FileContents(descriptor, capacity: Int(status.st_size), path: path)
    }

    /// Makes the file at `path` with `bytes` in it, all at once and durably, together with its directories; false, and nothing
    /// changed, when something is already there. Throws `.file`.
    static func create(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(TLSError) -> Bool {
        try createPrivateDirectory(containing: path)
        var name = Array("\(path).XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)  // mode 0600 from the start
        guard descriptor >= 0 else { throw .file(path: path, reason: reason(errno)) }
        defer {
            unlink(name)
            close(descriptor)
        }
        try writeAll(bytes, to: descriptor, path: path)
        // A link, unlike a rename, never replaces what another process has put there since.
        if link(name, path) != 0 {
            let code = errno
            if code == EEXIST { return false }
            throw .file(path: path, reason: reason(code))
        }
        try synchronizeDirectory(of: path)
        return true
    }

    /// Puts `bytes` in the place of the file at `path`, all at once and durably. The file keeps its owner. Throws `.file`.
    static func replace(_ path: String, _ bytes: UnsafeRawBufferPointer) throws(TLSError) {
        var old = stat()
        guard stat(path, &old) == 0 else { throw .file(path: path, reason: reason(errno)) }
        var name = Array("\(path).XXXXXX".utf8CString)
        let descriptor = mkstemp(&name)  // mode 0600 from the start
        guard descriptor >= 0 else { throw .file(path: path, reason: reason(errno)) }
        defer { close(descriptor) }
        do throws(TLSError) {
            // Root may act for a service that is not root and has to read the file.
            if old.st_uid != geteuid(), fchown(descriptor, old.st_uid, old.st_gid) != 0 {
                throw .file(path: path, reason: reason(errno))
            }
            try writeAll(bytes, to: descriptor, path: path)
            guard rename(name, path) == 0 else { throw .file(path: path, reason: reason(errno)) }
        } catch {
            unlink(name)
            throw error
        }
        try synchronizeDirectory(of: path)
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String) throws(TLSError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = write(descriptor, part.baseAddress, part.count)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .file(path: path, reason: reason(errno)) }
            rest = rest.dropFirst(count)
        }
        guard fsync(descriptor) == 0 else { throw .file(path: path, reason: reason(errno)) }
    }

    private static func synchronizeDirectory(of path: String) throws(TLSError) {
        let directory = parent(of: path)
        let descriptor = open(directory, O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard descriptor >= 0 else { throw .file(path: directory, reason: reason(errno)) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw .file(path: directory, reason: reason(errno)) }
    }
}

/// Makes the directory of `path`, and those above it, as far as they are missing, with mode 0700. Throws `.file` naming the
/// directory that could not be made.
package func createPrivateDirectory(containing path: String) throws(TLSError) {
    try createPrivateDirectory(parent(of: path))
}

private func createPrivateDirectory(_ directory: String) throws(TLSError) {
    if mkdir(directory, 0o700) == 0 { return }
    var code = errno
    if code == ENOENT, parent(of: directory) != directory {
        try createPrivateDirectory(parent(of: directory))
        if mkdir(directory, 0o700) == 0 { return }
        code = errno
    }
    // Something is there, perhaps since a moment ago. Should it be no directory, whoever opens a file in it learns so.
    var status = stat()
    guard code == EEXIST || stat(directory, &status) == 0 else { throw .file(path: directory, reason: reason(code)) }
}

private func parent(of path: String) -> String {
    var rest = path[...]
    while rest.count > 1, rest.last == "/" { rest.removeLast() }
    guard let slash = rest.lastIndex(of: "/") else { return "." }
    rest = rest[..<slash]
    while rest.last == "/" { rest.removeLast() }
    return rest.isEmpty ? "/" : String(rest)
}

private func reason(_ code: Int32) -> String {
    String(cString: strerror(code))
}

/// What stood in a file, wiped when this value ends: it may be a private key.
struct FileContents: ~Copyable {
    private let memory: UnsafeMutableRawBufferPointer
    private let count: Int

    /// Reads `descriptor` to its end, at most `capacity` bytes: what a file gained since its size was asked is not read.
    fileprivate init(_ descriptor: Int32, capacity: Int, path: String) throws(TLSError) {
        memory = .allocate(byteCount: max(1, capacity), alignment: 1)
        var filled = 0
        while filled < capacity {
            let result = read(descriptor, memory.baseAddress?.advanced(by: filled), capacity - filled)
            if result < 0, errno == EINTR { continue }
            if result < 0 {
                let code = errno
                OPENSSL_cleanse(memory.baseAddress, memory.count)
                memory.deallocate()
                throw .file(path: path, reason: reason(code))
            }
            if result == 0 { break }
            filled += result
        }
        count = filled
    }

    deinit {
        OPENSSL_cleanse(memory.baseAddress, memory.count)
        memory.deallocate()
    }

    /// A BIO that reads these bytes, for as long as this value lives.
    func reader() throws(TLSError) -> Owned {
        try Owned(BIO_new_mem_buf(memory.baseAddress, Int32(clamping: count)), BIO_free_all, "reading a file")
    }
}

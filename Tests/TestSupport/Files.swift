#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The bytes of a file, which may be one of `/proc`.
///
/// - Throws: `ProcessError` with the system's reason.
package func bytes(of path: String) throws -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ProcessError("cannot read \(path): \(systemReason(errno))") }
    let end = Pipe.End(descriptor)
    defer { end.close() }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = end.read(into: &chunk)
        guard count >= 0 else { throw ProcessError("cannot read \(path): \(systemReason(errno))") }
        guard count > 0 else { return bytes }
        bytes += chunk.prefix(count)
    }
}

/// The text of a file.
///
/// - Throws: `ProcessError` with the system's reason.
package func text(of path: String) throws -> String {
    String(decoding: try bytes(of: path), as: UTF8.self)
}

/// The names of what is in a directory, sorted.
///
/// - Throws: `ProcessError` with the system's reason.
package func names(in directory: String) throws -> [String] {
    guard let handle = opendir(directory) else {
        throw ProcessError("cannot list \(directory): \(systemReason(errno))")
    }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

#if canImport(Glibc)
@_exported import Glibc
#elseif canImport(Musl)
@_exported import Musl
#else
@_exported import Darwin
#endif

/// What went wrong in the test's own dealings with the system.
struct SystemFailure: Error, CustomStringConvertible {
    let description: String

    init(_ doing: String, _ code: Int32 = errno) {
        description = "\(doing): \(String(cString: strerror(code)))"
    }

    init(message: String) {
        description = message
    }
}

/// Throws unless `result` is what system calls return when they succeed.
@discardableResult
func check<Result: SignedInteger>(_ result: Result, _ doing: String) throws -> Result {
    guard result >= 0 else { throw SystemFailure(doing) }
    return result
}

/// Whether all of `bytes` could be written.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if count <= 0 { return false }
        rest = rest.dropFirst(count)
    }
    return true
}

func readFile(_ path: String) throws -> [UInt8] {
    let descriptor = try check(open(path, O_RDONLY | O_CLOEXEC), "open \(path)")
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 64 * 1024)
    while true {
        let count = try check(read(descriptor, &chunk, chunk.count), "read \(path)")
        if count == 0 { return bytes }
        bytes += chunk[..<count]
    }
}

/// The permission bits of the file or directory at `path`.
func permissions(_ path: String) throws -> mode_t {
    var status = stat()
    try check(stat(path, &status), "stat \(path)")
    return status.st_mode & 0o7777
}

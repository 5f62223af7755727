#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The `adit` that is tested: `$ADIT_BINARY`, else the one that was built beside the tests.
package func aditBinary() throws -> String {
    if let path = getenv("ADIT_BINARY") { return String(cString: path) }
    for argument in CommandLine.arguments where argument.contains("/") {
        var directory = argument[...]
        while let slash = directory.lastIndex(of: "/") {
            directory = directory[..<slash]
            let candidate = "\(directory)/adit"
            if isProgram(candidate) { return candidate }
        }
    }
    throw ProcessError("no adit beside the tests (\(CommandLine.arguments)); build it, or set ADIT_BINARY")
}

private func isProgram(_ path: String) -> Bool {
    var information = stat()
    return stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
}

/// By how much longer than they say tests wait before they give up, from `$ADIT_TIME_SCALE`: what a sanitizer slows down
/// still gets there. What a test asserts about time stays as it is.
package let timeScale: Int = getenv("ADIT_TIME_SCALE").flatMap { Int(String(cString: $0)) } ?? 1

/// The test's own environment.
package func currentEnvironment() -> [String: String] {
    var environment: [String: String] = [:]
    // The block as it lies behind the arguments when the process starts (System V ABI).
    var next = CommandLine.unsafeArgv + Int(CommandLine.argc) + 1
    while let variable = next.pointee {
        next += 1
        let parts = String(cString: variable).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2 { environment[String(parts[0])] = String(parts[1]) }
    }
    return environment
}

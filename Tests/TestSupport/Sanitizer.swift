#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The sanitizer that adit and the tests were built with, and what deploy/sanitize wants of the tests because of it.
package enum Sanitizer {
    /// `address` or `thread`, from `$ADIT_SANITIZER`; nil without one. Memory in use, for example, is then not adit's.
    package static let name: String? = getenv("ADIT_SANITIZER").map { String(cString: $0) }

    /// For every child, whatever its environment is otherwise.
    static let options = currentEnvironment().filter { ["ASAN_OPTIONS", "TSAN_OPTIONS"].contains($0.key) }

    /// Passes a report on a child to standard error, where deploy/sanitize looks for it: not every test looks at all that
    /// its children write.
    static func passOnReport(in output: @autoclosure () -> [UInt8], of name: String) {
        guard Self.name != nil else { return }
        let output = String(decoding: output(), as: UTF8.self)
        guard output.contains("Sanitizer: ") else { return }
        try? Pipe.End(dup(STDERR_FILENO)).write("== \(name):\n\(output)\n")
    }
}

import TestSupport

/// Makes a file of random bytes.
func makeRandomFile(_ path: String, mebibytes: Int) throws {
    let made = try Process.run(
        "/bin/sh", ["-c", "head -c \(mebibytes)M /dev/urandom > \"$0\"", path], within: .seconds(120))
    guard made.end == .exited(0) else { throw ProcessError("no file \(path): \(made.errors)") }
}

/// The SHA-256 of a file.
func checksum(of path: String) throws -> String {
    let ran = try Process.run(Program.path("sha256sum", package: "coreutils"), [path], within: .seconds(120))
    guard ran.end == .exited(0), let sum = ran.output.split(separator: " ").first, sum.utf8.count == 64 else {
        throw ProcessError("no checksum of \(path): \(ran.errors)")
    }
    return String(sum)
}

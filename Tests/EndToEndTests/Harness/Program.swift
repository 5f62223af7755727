import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A program of another project's, found where Debian puts it.
enum Program {
    /// The path of a program.
    ///
    /// - Throws: `ProcessError` with the Debian package to install.
    static func path(_ name: String, package: String, in directories: [String] = []) throws -> String {
        for directory in directories + ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
            let path = "\(directory)/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        throw ProcessError("no \(name) on this machine: install the Debian package \(package)")
    }

    /// A port for a program that cannot choose one by itself. It is below the range from which the system gives ports to
    /// connections; whether it is free shows when the program takes it.
    static func randomPort() -> UInt16 { .random(in: 20_000..<32_000) }

    /// Starts a server on a random port; on another one when that is taken.
    ///
    /// - Parameters:
    ///   - start: Starts the server on a port.
    ///   - ready: Waits until it can be connected to, and throws when it ends instead.
    static func server(
        start: (UInt16) throws -> Process, ready: (Process, UInt16) throws -> Void
    ) throws -> (process: Process, port: UInt16) {
        for _ in 0..<5 {
            let port = randomPort()
            let process = try start(port)
            do {
                try ready(process, port)
                return (process, port)
            } catch {
                let said = process.transcript.lowercased()
                guard said.contains("address already in use") else { throw error }
            }
        }
        throw ProcessError("five random ports in a row are taken")
    }
}

/// A command as root runs it: by sudo where the tests are not root's.
func asRoot(_ command: [String]) throws -> [String] {
    geteuid() == 0 ? command : [try Program.path("sudo", package: "sudo"), "--non-interactive"] + command
}

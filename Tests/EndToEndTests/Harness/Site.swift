import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// One relay's world: a directory, the relay's secret, and a state directory for each party. What it starts is told
/// nothing by the test's own environment.
final class Site: Sendable {
    let directory: TemporaryDirectory
    let secretFile: String
    /// What it starts takes for the system's certificate authorities; nil for the system's own.
    private let authorityFile: String?

    /// - Parameter authorities: The name of a file in the directory.
    init(authorities: String? = nil) throws {
        directory = try TemporaryDirectory()
        // 32 random bytes in hexadecimal: long enough for the relay, and text.
        secretFile = try directory.write(randomHex(bytes: 32) + "\n", to: "secret")
        authorityFile = authorities.map { [directory] in "\(directory.path)/\($0)" }
    }

    /// Runs `adit` and waits for its end.
    @discardableResult
    func run(_ arguments: [String]) throws -> (end: Process.End, output: String, errors: String) {
        try Process.run(aditBinary(), arguments, environment: environment)
    }

    /// Makes a token and returns the path of its file.
    ///
    /// - Throws: `ProcessError` when `adit generate-token` does not make one.
    func token(_ arguments: String..., secretFile: String? = nil) throws -> String {
        let made = try run(
            ["generate-token", "--token-only", "--secret-file", secretFile ?? self.secretFile] + arguments)
        guard made.end == .exited(0) else {
            throw ProcessError("no token for \(arguments): \(made.end)\n\(made.errors)")
        }
        return try directory.write(made.output, to: "token-" + randomHex(bytes: 8))
    }

    /// Starts a relay and waits until it listens.
    ///
    /// - Parameter state: Where it keeps its key: relays with the same name are one relay that was started again.
    func relay(_ arguments: String..., listen: String = "127.0.0.1:0", state: String = "relay") throws -> Relay {
        let process = try start(
            ["relay", "tcp", "--listen", listen, "--jwt-secret-file", secretFile], arguments, state: state)
        let line = try process.output.waitForLine(containing: "Relay listening on ")
        return Relay(process: process, port: try port(atEndOf: line))
    }

    /// Starts an agent, and does not wait for anything.
    func agent(
        _ id: String, relay: UInt16, target: String, token: String, _ arguments: String..., state: String? = nil
    ) throws -> Process {
        try start(
            [
                "agent", "--relay", "127.0.0.1:\(relay)", "--agent-id", id, "--target-address", target,
                "--token-file", token,
            ], arguments, state: state ?? "agent-\(id)")
    }

    /// Starts a connect, and does not wait for anything.
    func connect(
        _ id: String, relay: UInt16, token: String, local: String = "127.0.0.1:0", _ arguments: String...,
        state: String = "connect"
    ) throws -> Process {
        try start(
            [
                "connect", "--relay", "127.0.0.1:\(relay)", "--agent-id", id, "--local-address", local,
                "--token-file", token,
            ], arguments, state: state)
    }

    private func start(_ required: [String], _ arguments: [String], state: String) throws -> Process {
        try Process(
            aditBinary(), required + arguments + ["--state-dir", "\(directory.path)/\(state)"],
            environment: environment)
    }

    /// What tests look at in /proc is its own user's only where a process allows it; root sees it in any case.
    var environment: [String: String] {
        var environment = ["HOME": directory.path]
        if geteuid() != 0 { environment["ADIT_ALLOW_CORE_DUMPS"] = "true" }
        environment["SSL_CERT_FILE"] = authorityFile
        return environment
    }
}

/// A relay that listens on this machine.
struct Relay: Sendable {
    let process: Process
    let port: UInt16
}

extension Process {
    /// Waits for an agent to be registered.
    func waitUntilRegistered(occurrence: Int = 1) throws {
        try output.waitForLine(containing: "Waiting for client connections", occurrence: occurrence)
    }

    /// Waits for a connect's tunnel and returns its local port.
    @discardableResult
    func waitForTunnel(occurrence: Int = 1) throws -> UInt16 {
        let line = try output.waitForLine(containing: "Tunnel ready: ", occurrence: occurrence)
        // ✅ Tunnel ready: LOCAL → TARGET
        let local = line.split(separator: "→")[0].split(separator: " ").last ?? ""
        return try port(atEndOf: String(local))
    }
}

/// The port of an address at the end of a line.
func port(atEndOf line: String) throws -> UInt16 {
    guard let colon = line.lastIndex(of: ":"), let port = UInt16(line[line.index(after: colon)...]), port > 0 else {
        throw ProcessError("no port at the end of '\(line)'")
    }
    return port
}

/// Fresh random bytes as text, two digits a byte.
func randomHex(bytes count: Int) -> String {
    (0..<count).map { _ in
        let byte = UInt8.random(in: .min ... .max)
        return String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
}

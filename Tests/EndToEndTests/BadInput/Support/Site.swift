import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A place of a test's own: a directory and a secret, in which relays and peers are started one by one, each with the
/// options that the test wants. What was started ends with its last reference.
final class Site: Sendable {
    /// A relay that listens.
    struct Relay: Sendable {
        let process: Process
        let address: String
        /// As it printed it: `SHA256:…`.
        let key: String
        var port: UInt16 { UInt16(address.split(separator: ":").last ?? "") ?? 0 }
    }

    let directory: TemporaryDirectory
    let secret: String
    private let binary: String
    private let environment: [String: String]

    init() throws {
        directory = try TemporaryDirectory()
        secret = (0..<8).map { _ in String(UInt64.random(in: .max / 2 ... .max), radix: 36) }.joined()
        binary = try aditBinary()
        environment = ["HOME": directory.path, "LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]
        try directory.write(secret + "\n", to: "secret")
    }

    func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    // MARK: Roles

    /// Starts a relay and waits until it listens. `state` names its state directory: its key lives there.
    func relay(
        _ options: String..., listen: String = "127.0.0.1:0", state: String = "relay", through launcher: [String] = []
    ) throws -> Relay {
        let process = try adit(
            ["relay", "tcp", "--listen", listen, "--jwt-secret-file", path("secret"), "--state-dir", path(state)]
                + options, through: launcher)
        let listening = try process.output.waitForLine(containing: "Relay listening on ")
        let key = try process.output.waitForLine(containing: "Relay key: ")
        return Relay(process: process, address: Self.lastWord(of: listening), key: Self.lastWord(of: key))
    }

    /// Starts an agent, and waits for nothing. Its token is made for its ID unless one is given.
    func agent(
        _ id: String = "db", at relay: String, target: String, token: String? = nil, state: String = "agent",
        through launcher: [String] = [], options: [String] = []
    ) throws -> Process {
        try adit(
            [
                "agent", "--relay", relay, "--agent-id", id, "--target-address", target,
                "--token-file", token ?? self.token(subject: id, role: "agent"), "--state-dir", path(state),
            ] + options, through: launcher)
    }

    /// Starts an agent and waits until it is registered.
    func registeredAgent(
        _ id: String = "db", at relay: String, target: String, state: String = "agent",
        through launcher: [String] = [], options: [String] = []
    ) throws -> Process {
        let agent = try agent(
            id, at: relay, target: target, state: state, through: launcher, options: options)
        try agent.output.waitForLine(containing: "Waiting for client connections")
        return agent
    }

    /// Starts a connect, and waits for nothing. Its token allows the agent unless one is given.
    func connect(
        to id: String = "db", at relay: String, local: String = "127.0.0.1:0", token: String? = nil,
        state: String = "connect", through launcher: [String] = [], options: [String] = []
    ) throws -> Process {
        try adit(
            [
                "connect", "--relay", relay, "--agent-id", id, "--local-address", local,
                "--token-file", token ?? self.token(subject: "laptop", role: "client", agents: [id]),
                "--state-dir", path(state),
            ] + options, through: launcher)
    }

    /// Runs any command of adit to its end.
    func run(_ arguments: String...) throws -> (end: Process.End, output: String, errors: String) {
        try Process.run(binary, arguments, environment: environment)
    }

    private func adit(_ arguments: [String], through launcher: [String]) throws -> Process {
        let command = launcher + [binary] + arguments
        return try Process(command[0], Array(command.dropFirst()), environment: environment)
    }

    // MARK: Tokens

    /// The file of a fresh token that `adit generate-token` made.
    func token(subject: String, role: String?, agents: [String] = []) throws -> String {
        let scope = (role.map { ["--role", $0] } ?? []) + agents.flatMap { ["--agent", $0] }
        let (end, output, errors) = try Process.run(
            binary,
            ["generate-token", "--secret-file", path("secret"), "--sub", subject, "--token-only"] + scope,
            environment: environment)
        guard end == .exited(0) else { throw ProcessError("no token: \(end), \(errors)") }
        return try file(holding: output)
    }

    /// A new file in the directory.
    func file(holding text: String) throws -> String {
        try directory.write(text, to: "file-\(UInt64.random(in: 0 ... .max))")
    }

    // MARK: Other programs

    /// Runs openssl to its end and returns what it wrote to standard output, which is not always text.
    @discardableResult
    func openssl(_ arguments: String..., input: String = "") throws -> [UInt8] {
        let process = try Process(
            program("openssl", package: "openssl"), arguments, environment: environment, directory: directory.path,
            input: .pipe)
        try process.write(input)
        process.closeInput()
        guard try process.wait() == .exited(0) else {
            throw ProcessError("openssl \(arguments.joined(separator: " ")): \(process.transcript)")
        }
        return process.output.bytes
    }

    private static func lastWord(of line: String) -> String {
        line.split(separator: " ").last.map(String.init) ?? ""
    }
}

/// Where a program lies.
///
/// - Throws: `ProcessError` with the Debian package that brings it, when it is not there.
func program(_ name: String, package: String) throws -> String {
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"] {
        if access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
    }
    throw ProcessError("no \(name) on this machine: install the Debian package \(package)")
}

extension Process {
    /// The local port of a connect, once its tunnel is ready for the nth time.
    func tunnelPort(occurrence: Int = 1, within limit: Duration = patience) throws -> UInt16 {
        let line = try output.waitForLine(containing: "Tunnel ready: ", occurrence: occurrence, within: limit)
        let local = line.split(separator: " ").dropFirst(3).first ?? ""
        guard let port = local.split(separator: ":").last.flatMap({ UInt16($0) }), port != 0 else {
            throw ProcessError("no port in '\(line)'")
        }
        return port
    }
}

/// How long something took.
func elapsed(_ body: () throws -> Void) rethrows -> Duration {
    try ContinuousClock().measure(body)
}

/// Looks again and again whether something is so.
///
/// - Throws: `ProcessError` when time is up, and what `condition` throws.
func waitUntil(_ what: String, within limit: Duration, _ condition: () throws -> Bool) throws {
    let deadline = ContinuousClock.now + limit
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw ProcessError("not within \(limit): \(what)") }
        poll(nil, 0, 5)
    }
}

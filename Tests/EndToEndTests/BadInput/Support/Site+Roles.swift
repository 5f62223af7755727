import TestSupport

/// Each role by itself, with whatever options a test wants.
extension Site {
    /// Starts a relay through another program and waits until it listens.
    func relay(_ options: String..., listen: String = "127.0.0.1:0", through launcher: [String]) throws -> Relay {
        let process = try adit(
            ["relay", "tcp", "--listen", listen, "--jwt-secret-file", secretFile] + options, state: "relay",
            through: launcher)
        let line = try process.output.waitForLine(containing: "Relay listening on ")
        return Relay(process: process, port: try port(atEndOf: line))
    }

    /// Starts an agent, and waits for nothing. Its token is made for its ID unless one is given.
    func agent(
        _ id: String = "db", at relay: String, target: String, token: String? = nil, state: String = "agent",
        through launcher: [String] = [], options: [String] = []
    ) throws -> Process {
        try adit(
            [
                "agent", "--relay", relay, "--agent-id", id, "--target-address", target,
                "--token-file", token ?? self.token(subject: id, role: "agent"),
            ] + options, state: state, through: launcher)
    }

    /// Starts an agent and waits until it is registered.
    func registeredAgent(
        _ id: String = "db", at relay: String, target: String, state: String = "agent",
        through launcher: [String] = [], options: [String] = []
    ) throws -> Process {
        let agent = try agent(id, at: relay, target: target, state: state, through: launcher, options: options)
        try agent.waitUntilRegistered()
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
            ] + options, state: state, through: launcher)
    }

    private func adit(_ arguments: [String], state: String, through launcher: [String]) throws -> Process {
        let command = try launcher + [aditBinary()] + arguments + ["--state-dir", path(state)]
        return try Process(command[0], Array(command.dropFirst()), environment: environment)
    }

    /// The file of a fresh token that `adit generate-token` made.
    func token(subject: String, role: String?, agents: [String] = []) throws -> String {
        let scope = (role.map { ["--role", $0] } ?? []) + agents.flatMap { ["--agent", $0] }
        let made = try run(["generate-token", "--token-only", "--secret-file", secretFile, "--sub", subject] + scope)
        guard made.end == .exited(0) else { throw ProcessError("no token: \(made.end)\n\(made.errors)") }
        return try file(holding: made.output)
    }

    // MARK: Files and programs

    func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    /// A new file in the directory.
    func file(holding text: String) throws -> String {
        try directory.write(text, to: "file-" + randomHex(bytes: 8))
    }

    /// The relay's secret.
    func secret() throws -> String {
        try String(text(of: secretFile).split(separator: "\n")[0])
    }

    /// Runs openssl in the directory to its end, and returns what it wrote to standard output, which is not always text.
    @discardableResult
    func openssl(_ arguments: String..., input: String = "") throws -> [UInt8] {
        let process = try Process(
            Program.path("openssl", package: "openssl"), arguments, directory: directory.path, input: .pipe)
        try process.write(input)
        process.closeInput()
        guard try process.wait() == .exited(0) else {
            throw ProcessError("openssl \(arguments.joined(separator: " ")): \(process.transcript)")
        }
        return process.output.bytes
    }
}

extension Relay {
    /// Of a relay that listens on 127.0.0.1.
    var address: String { "127.0.0.1:\(port)" }

    /// The fingerprint of its key, as it printed it.
    func key() throws -> String {
        try String(process.output.waitForLine(containing: "Relay key: ").split(separator: " ").last ?? "")
    }
}

/// The fingerprint of an agent's key, as it printed it.
func key(ofAgent agent: Process) throws -> String {
    try String(agent.output.waitForLine(containing: "Agent key: ").split(separator: " ").last ?? "")
}

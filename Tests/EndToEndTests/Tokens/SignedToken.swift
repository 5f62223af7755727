import TestSupport

/// A token of `adit generate-token`, and what the program said of it.
struct SignedToken: Sendable {
    let text: String
    /// By which it is revoked.
    let id: String
    let file: String
}

extension Site {
    /// Makes a token with the relay's secrets.
    func token(role: String, subject: String, options: [String] = []) throws -> SignedToken {
        let made = try run(
            ["generate-token", "--secret-file", secretFile, "--role", role, "--sub", subject] + options)
        let lines = made.output.split(separator: "\n")
        guard made.end == .exited(0), let text = lines.last, let id = lines.first(where: { $0.hasPrefix("ID: ") })
        else { throw ProcessError("no token: \(made.end)\n\(made.errors)") }
        return SignedToken(
            text: String(text), id: String(id.split(separator: " ")[1]), file: try file(holding: "\(text)\n"))
    }

    /// A token for a client of the agent `db`.
    func clientToken(_ subject: String = "laptop", options: [String] = []) throws -> SignedToken {
        try token(role: "client", subject: subject, options: ["--agent", "db"] + options)
    }
}

extension Process {
    /// Waits for a peer that the relay has turned away for good, and returns the reason that it gives.
    func reasonOfRefusal() throws -> String {
        let end = try wait()
        let prefix = "adit: authentication failed: "
        guard end == .exited(77), let line = errors.lines.last(where: { $0.hasPrefix(prefix) }) else {
            throw ProcessError("not refused: \(end)\n\(transcript)")
        }
        return String(line.dropFirst(prefix.count))
    }
}

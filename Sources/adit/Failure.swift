import ArgumentParser

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Why a command ends without success, as its user reads it. Hints are added here and nowhere below.
struct Failure: Error, Sendable {
    let status: ExitStatus
    /// Lower case, no full stop. Other processes may have written parts of it.
    let message: String
    /// What to try next.
    let hint: String?

    init(_ status: ExitStatus, _ message: String, hint: String? = nil) {
        self.status = status
        self.message = message
        self.hint = hint
    }

    static func usage(_ message: String, hint: String? = nil) -> Failure {
        Failure(.usage, message, hint: hint)
    }

    static func configuration(_ message: String, hint: String? = nil) -> Failure {
        Failure(.configuration, message, hint: hint)
    }

    /// Writes `adit: …` and perhaps `hint: …`, a line each, to standard error, and ends the process.
    func end() -> Never {
        StandardError.write("adit: \(message.printable)")
        if let hint { StandardError.write("hint: \(hint.printable)") }
        exit(status.rawValue)
    }
}

extension Failure: CustomStringConvertible {
    /// The message alone: what a module logs of a token that could not be read.
    var description: String { message }
}

extension Failure {
    /// Says what the argument parser found in our form, and where its help is.
    init(parserMessage: String, arguments: [String]) {
        var command = AditCommand.self as any ParsableCommand.Type
        var path = ["adit"]
        for word in arguments {
            guard let next = command.configuration.subcommands.first(where: { $0.configuration.commandName == word })
            else { break }
            command = next
            path.append(word)
        }
        let message = parserMessage.prefix(1).lowercased() + parserMessage.dropFirst()
        self = .usage(String(message), hint: "see '\(path.joined(separator: " ")) --help'")
    }
}

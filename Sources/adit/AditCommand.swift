import ArgumentParser
import Dispatch

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@main
struct AditCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "adit",
        abstract: "A self-hosted reverse tunnel through a relay that cannot read it.",
        discussion: """
            Every option may also come from the environment (--agent-id from ADIT_AGENT_ID) and, behind that, from \
            a file of such lines given with --config. Lists are separated by commas there.

            Exit codes: 64 usage, 69 unavailable, 77 refused, 78 configuration.
            """,
        version: "adit 0.1.0",
        subcommands: [
            RelayCommand.self, AgentCommand.self, ConnectCommand.self, GenerateTokenCommand.self, KeyCommand.self,
        ])

    static func main() {
        // First of all, so that what must not be seen can be seen for as short a time as possible.
        let arguments = Invocation.current.arguments
        // A reader that goes away is an error of one write, not the end of the process.
        _ = signal(SIGPIPE, SIG_IGN)
        #if canImport(Darwin)
        Task { await run(arguments) }
        #else
        // At once and on this thread, the only one: a sandbox confines the thread that enters it, and those made after.
        Task.immediate { await run(arguments) }
        #endif
        dispatchMain()
    }

    private static func run(_ arguments: [String]) async -> Never {
        do {
            var command = try parsed(arguments)
            if let role = command as? any RoleCommand {
                try await role.serve()
            } else {
                try command.run()
            }
            exit(withError: nil)
        } catch let failure as Failure {
            failure.end()
        } catch {
            endIfHelp(error)
            (Failure(reportedBy: error) ?? Failure(.software, "\(error)")).end()
        }
    }

    private static func parsed(_ arguments: [String]) throws -> any ParsableCommand {
        do {
            return try parseAsRoot(arguments)
        } catch {
            endIfHelp(error)
            throw Failure(parserMessage: message(for: error), arguments: arguments)
        }
    }

    /// Help and version come from the parser as errors that are none.
    private static func endIfHelp(_ error: any Error) {
        guard exitCode(for: error) == .success else { return }
        print(fullMessage(for: error))
        exit(withError: nil)
    }
}

/// A command that runs until it is told to end.
protocol RoleCommand: ParsableCommand {
    /// Begins on the thread that calls, as `AsyncParsableCommand.run` would not.
    func serve() async throws
}

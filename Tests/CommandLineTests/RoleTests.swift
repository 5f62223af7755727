import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite("a role, from start to end")
struct RoleTests {
    static let secret = "0123456789abcdef0123456789abcdef"

    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
    }

    private func relay(_ arguments: String..., environment: [String: String] = [:]) throws -> Process {
        let own = ["HOME": directory.path]
        return try Process(
            aditBinary(), ["relay", "tcp", "--listen", "127.0.0.1:0"] + arguments,
            environment: own.merging(environment) { $1 })
    }

    @Test("a relay says where it listens and what its key is", arguments: ["--listen", "--localup-addr"])
    func says(option: String) throws {
        let relay = try Process(
            aditBinary(), ["relay", "tcp", option, "127.0.0.1:0", "--jwt-secret", Self.secret],
            environment: ["HOME": directory.path])
        let listening = try relay.output.waitForLine(containing: "Relay listening on")
        let prefix = "✅ Relay listening on 127.0.0.1:"
        #expect(listening.hasPrefix(prefix))
        #expect(try #require(UInt16(listening.dropFirst(prefix.count))) != 0)
        let key = try relay.output.waitForLine(containing: "Relay key")
        let shown = try Process.run(aditBinary(), ["key", "show"], environment: ["HOME": directory.path])
        #expect(key + "\n" == "✅ Relay key: " + shown.output)
    }

    @Test("a signal ends a relay in good order", arguments: [SIGTERM, SIGINT])
    func signals(number: Int32) throws {
        let relay = try relay("--jwt-secret", Self.secret)
        try relay.output.waitForLine(containing: "Relay key")
        relay.send(number)
        #expect(try relay.wait() == .exited(0))
    }

    @Test("a taken port is named with the reason")
    func takenPort() throws {
        let first = try relay("--jwt-secret", Self.secret)
        let line = try first.output.waitForLine(containing: "Relay listening on")
        let address = try #require(line.split(separator: " ").last)
        let second = try Process.run(
            aditBinary(), ["relay", "tcp", "--listen", String(address), "--jwt-secret", Self.secret],
            environment: ["HOME": directory.path])
        #expect(second.end == .exited(69))
        #expect(second.errors.contains("adit: cannot listen on \(address): "))
        #expect(second.errors.lowercased().contains("address already in use"))
    }

    @Test("the log is one JSON object a line where asked for")
    func jsonLog() throws {
        let relay = try relay("--jwt-secret", Self.secret, "--log-format", "json", "--log-level", "debug")
        try relay.output.waitForLine(containing: "Relay key")
        relay.send(SIGTERM)
        try relay.wait()
        let lines = relay.errors.lines
        #expect(!lines.isEmpty)
        for line in lines {
            #expect(line.hasPrefix(#"{"time":"2"#))
            #expect(line.contains(#"Z","level":""#))
            #expect(line.contains(#","message":""#))
            #expect(line.hasSuffix("}"))
        }
    }

    @Test("the log has a time, a level and a message on each line")
    func textLog() throws {
        let relay = try relay("--jwt-secret", Self.secret, environment: ["ADIT_LOG_LEVEL": "debug"])
        try relay.output.waitForLine(containing: "Relay key")
        relay.send(SIGTERM)
        try relay.wait()
        let lines = relay.errors.lines
        #expect(!lines.isEmpty)
        for line in lines {
            let fields = line.split(separator: " ", maxSplits: 2)
            #expect(fields.count == 3)
            #expect(fields[0].utf8.count == "2026-11-21T00:00:00.123Z".utf8.count && fields[0].hasSuffix("Z"))
            #expect(["debug", "info", "notice", "warning"].contains(fields[1]))
        }
    }
}

#if os(Linux)
@Suite("what others on the machine can see")
struct SecretsInSightTests {
    private static let secret = "a-secret-that-nobody-else-should-see"

    private func relay(_ arguments: [String], environment: [String: String] = [:]) throws -> (
        Process, TemporaryDirectory
    ) {
        let directory = try TemporaryDirectory()
        let relay = try Process(
            aditBinary(), ["relay", "tcp", "--listen", "127.0.0.1:0"] + arguments,
            environment: ["HOME": directory.path].merging(environment) { $1 })
        try relay.output.waitForLine(containing: "Relay key")
        return (relay, directory)
    }

    private func words(_ file: String, of process: Process) throws -> [String] {
        try bytes(of: "/proc/\(process.processID)/\(file)").split(separator: 0).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    @Test(
        "a secret on the command line is not in the process list, and the rest of the line is",
        arguments: [["--jwt-secret", secret], ["--jwt-secret=\(secret)"]])
    func commandLine(option: [String]) throws {
        let (relay, directory) = try relay(option + ["--log-level", "debug"])
        let words = try words("cmdline", of: relay)
        #expect(words.dropFirst().starts(with: ["relay", "tcp", "--listen", "127.0.0.1:0"]))
        #expect(words.suffix(2) == ["--log-level", "debug"])
        #expect(!words.contains { $0.contains(Self.secret) })
        withExtendedLifetime(directory) {}
    }

    @Test("a secret in the environment is not in the process's environment, and the rest is")
    func environment() throws {
        let variables = ["ADIT_JWT_SECRET": Self.secret, "ADIT_TOKEN": Self.secret, "ADIT_LOG_LEVEL": "debug"]
        let (relay, directory) = try relay([], environment: variables)
        let words = try words("environ", of: relay)
        #expect(words.contains("ADIT_LOG_LEVEL=debug"))
        #expect(words.contains("ADIT_JWT_SECRET="))
        #expect(!words.contains { $0.contains(Self.secret) })
        withExtendedLifetime(directory) {}
    }
}
#endif

#if os(Linux)
import TestSupport
import Testing

/// What somebody who owns the relay's machine can get hold of: all that goes over its sockets, and all its memory.
@Suite(.serialized) struct `the relay` {
    /// A core that holds a sanitizer's shadow memory has terabytes.
    @Test(.enabled(if: Sanitizer.name == nil))
    func `has nothing of what goes through it, neither on its sockets nor in its memory`() throws {
        let (request, answer) = (randomHex(bytes: 32), randomHex(bytes: 32))
        let directory = try TemporaryDirectory()
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let relaySide = try Capture(port: tunnel.relay.port, file: "\(directory.path)/relay.pcap")
            let targetSide = try Capture(port: service.port, file: "\(directory.path)/target.pcap")

            let client = try tunnel.open()
            let served = try service.accept()
            // More each way than the windows hold, to ends that then stop reading: the agent keeps opened bytes for its
            // target and connect for its user. What each has sealed it may have let go.
            let sending = [(client, request), (served, answer)].map { connection, marker in
                let piece = Array(String(repeating: marker, count: 1024).utf8)
                return Background { for _ in 0..<1024 { try connection.send(piece) } }
            }
            for (connection, marker) in [(served, request), (client, answer)] {
                let expected = Array(String(repeating: marker, count: 4096).utf8)
                let isRight = try connection.receive(exactly: expected.count) == expected
                #expect(isRight)
            }

            let cores = try tunnel.parties.map { name, process in
                (name, try dump(process, to: "\(directory.path)/\(name)"))
            }
            let captures = (relay: try relaySide.finish(), target: try targetSide.finish())
            #expect(tunnel.parties.allSatisfy { $0.process.end == nil })
            #expect(sending.contains { !$0.hasEnded })

            for (marker, opener) in [(request, "agent"), (answer, "connect")] {
                // The same search finds it where it must be.
                #expect(try contains(captures.target, marker))
                #expect(try contains(captures.relay, marker) == false)
                for (name, core) in cores where [opener, "relay"].contains(name) {
                    #expect(try contains(core, marker) == (name == opener), "the core of \(name)")
                }
            }
            // The relay's core is one: it holds what the relay does know. Its capture saw both directions go by.
            for (_, core) in cores { #expect(try contains(core, tunnel.agentID)) }
            #expect(try size(of: captures.relay) > 4096 * 64 * 2)

            client.close()
            served.close()
        }
    }

    /// Makes gdb write a process's memory to a file, while the process lives on.
    private func dump(_ process: Process, to prefix: String) throws -> String {
        let gcore = try Program.path("gcore", package: "gdb")
        let command = try asRoot([gcore, "-a", "-o", prefix, "\(process.processID)"])
        let ran = try Process.run(command[0], Array(command.dropFirst()), within: .seconds(120))
        guard ran.end == .exited(0) else { throw ProcessError("gcore: \(ran.end)\n\(ran.errors)\(ran.output)") }
        return "\(prefix).\(process.processID)"
    }

    private func contains(_ file: String, _ text: String) throws -> Bool {
        let command = try asRoot(["/bin/grep", "--quiet", "--text", "--fixed-strings", "--regexp=\(text)", file])
        let ran = try Process.run(
            command[0], Array(command.dropFirst()), environment: ["LC_ALL": "C"], within: .seconds(120))
        switch ran.end {
        case .exited(0): return true
        case .exited(1): return false
        default: throw ProcessError("grep in \(file): \(ran.end)\n\(ran.errors)")
        }
    }

    private func size(of file: String) throws -> Int {
        let ran = try Process.run("/usr/bin/stat", ["--format=%s", file])
        return Int(ran.output.dropLast()) ?? 0
    }
}

/// A tcpdump of the loopback's traffic from and to a port.
private struct Capture {
    private let process: Process
    private let file: String

    /// Waits until it sees what comes.
    init(port: UInt16, file: String) throws {
        // Where it has started as root it would change to a user who cannot write here.
        let command = try asRoot([
            Program.path("tcpdump", package: "tcpdump"), "--relinquish-privileges=root", "-i", "lo", "-B", "65536",
            "-w", file, "tcp port \(port)",
        ])
        process = try Process(command[0], Array(command.dropFirst()))
        self.file = file
        try process.errors.waitForLine(containing: "listening on lo")
    }

    /// Ends it and returns the file.
    ///
    /// - Throws: `ProcessError` also when it missed packets.
    func finish() throws -> String {
        // Not by `send`: what sudo runs is root's.
        let command = try asRoot(["/bin/kill", "-s", "INT", "\(process.processID)"])
        try Process.run(command[0], Array(command.dropFirst()))
        try process.wait()
        guard process.errors.lines.contains("0 packets dropped by kernel") else {
            throw ProcessError("tcpdump did not see all\n\(process.transcript)")
        }
        return file
    }
}
#endif

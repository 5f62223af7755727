#if canImport(Glibc)
package import Glibc
#elseif canImport(Musl)
package import Musl
#else
package import Darwin
#endif

/// A program that a test runs. Threads drain both outputs as they come, so that no pipe fills and stops the child, and
/// reap it when it ends. A child still there when its last reference goes is killed. Waiting blocks the calling thread,
/// always with a deadline.
package final class Process: Sendable {
    /// How a process ended.
    package enum End: Equatable, Sendable {
        case exited(Int32)
        case killed(signal: Int32)
    }

    /// What the child reads.
    package enum Input: Sendable {
        /// Nothing: it is at its end from the beginning.
        case none
        /// What `write` gives it.
        case pipe
    }

    /// How long to wait where a test does not say: far beyond what a loaded machine needs, short of what a person
    /// bears.
    package static let patience = Duration.seconds(30)

    package let processID: pid_t
    package let output: CapturedOutput
    package let errors: CapturedOutput
    private let name: String
    private let life: Life
    private let input: Pipe.End?

    /// Starts `executable`, a path.
    ///
    /// - Parameters:
    ///   - arguments: Without the program's name.
    ///   - environment: All of it; nil passes on the test's own.
    ///   - directory: To run in; nil for the test's own.
    /// - Throws: `ProcessError` when there is no such program, for example.
    package init(
        _ executable: String, _ arguments: [String], environment: [String: String]? = nil, directory: String? = nil,
        input: Input = .none
    ) throws {
        let output = try Pipe()
        let errors = try Pipe()
        let standardInput = input == .pipe ? try Pipe() : nil
        processID = try spawn(
            executable, arguments, environment: environment, directory: directory,
            descriptors: [standardInput?.reading, output.writing, errors.writing])
        for end in [standardInput?.reading, output.writing, errors.writing] { end?.close() }
        name = executable
        self.input = standardInput?.writing
        self.output = CapturedOutput(draining: output.reading, name: "standard output of \(executable)")
        self.errors = CapturedOutput(draining: errors.reading, name: "standard error of \(executable)")
        life = Life(processID)
    }

    deinit {
        send(SIGKILL)
        // What was killed ends; only a child stuck in the kernel does not, and nothing can be done about that here.
        _ = life.end(within: .seconds(10))
    }

    /// Sends a signal, unless the child has ended: then its ID may be another's.
    package func send(_ signal: Int32) {
        life.send(signal)
    }

    /// Waits until the child has ended and what it wrote is all there.
    ///
    /// - Throws: `ProcessError` with what it wrote so far when it has not ended in time.
    @discardableResult
    package func wait(within limit: Duration = patience) throws -> End {
        guard let end = life.end(within: limit) else {
            throw ProcessError("\(name) did not end within \(limit)\n\(transcript)")
        }
        // A grandchild may hold the pipes open for as long as it likes.
        output.waitForEnd(within: .seconds(2))
        errors.waitForEnd(within: .seconds(2))
        return end
    }

    /// Nil while it runs.
    package var end: End? { life.end(within: .zero) }

    /// Gives the child text to read.
    ///
    /// - Throws: `ProcessError` when it reads no more.
    package func write(_ text: String) throws {
        try write(Array(text.utf8))
    }

    /// Gives the child bytes to read.
    ///
    /// - Throws: `ProcessError` when it reads no more.
    package func write(_ bytes: [UInt8]) throws {
        guard let input else { throw ProcessError("\(name) was started without an input") }
        try input.write(bytes)
    }

    /// Ends the child's input.
    package func closeInput() {
        input?.close()
    }

    /// Both outputs, to go with a failure.
    package var transcript: String {
        "--- \(output.name)\n\(output.text)--- \(errors.name)\n\(errors.text)---"
    }

    /// Starts a program and waits for its end.
    @discardableResult
    package static func run(
        _ executable: String, _ arguments: [String], environment: [String: String]? = nil, directory: String? = nil,
        within limit: Duration = patience
    ) throws -> (end: End, output: String, errors: String) {
        let process = try Process(executable, arguments, environment: environment, directory: directory)
        let end = try process.wait(within: limit)
        return (end, process.output.text, process.errors.text)
    }
}

/// A program could not be started, or did not do in time what it was waited for.
package struct ProcessError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

/// When a child ended, and whether it may still be sent signals.
private final class Life: Sendable {
    private let processID: pid_t
    private let ended = Monitor<Process.End?>(nil)

    init(_ processID: pid_t) {
        self.processID = processID
        startThread { [processID, ended] in
            // Left unreaped until the lock is held: up to there nobody else can have its ID, and `send` cannot hit a
            // stranger.
            var information = siginfo_t()
            while waitid(P_PID, id_t(processID), &information, WEXITED | WNOWAIT) < 0, errno == EINTR {}
            ended.change { end in
                var status: Int32 = 0
                while waitpid(processID, &status, 0) < 0, errno == EINTR {}
                // The macros WIFEXITED and so on, which C alone can expand.
                end = status & 0x7f == 0 ? .exited(status >> 8 & 0xff) : .killed(signal: status & 0x7f)
            }
        }
    }

    func send(_ signal: Int32) {
        ended.change { end in
            if end == nil { kill(processID, signal) }
        }
    }

    func end(within limit: Duration) -> Process.End? {
        ended.wait(within: limit) { $0 }
    }
}

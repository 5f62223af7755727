import Synchronization

/// A program that runs beside the test, with pipes to its input and from its output and errors; killed when the test ends.
final class Child {
    private let process: pid_t
    private var input: Int32
    private let output: Int32
    private(set) var printed: [UInt8] = []
    /// How far the output was searched for each text.
    private var searched: [String: Int] = [:]
    private var exitCode: Int32?

    /// How long a test waits for a program or a peer before it fails.
    static let patienceMilliseconds: Int32 = 30_000

    init(_ arguments: [String]) throws {
        signal(SIGPIPE, SIG_IGN)
        // One at a time: a child that inherited another's pipes would keep them open.
        (process, input, output) = try Self.spawning.withLock { _ in try Self.spawn(arguments) }
    }

    private static let spawning = Mutex(())

    private static func spawn(_ arguments: [String]) throws -> (process: pid_t, input: Int32, output: Int32) {
        let (inputReader, inputWriter) = try makePipe()
        let (outputReader, outputWriter) = try makePipe()
        defer {
            close(inputReader)
            close(outputWriter)
        }
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        #else
        var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, inputReader, 0)
        posix_spawn_file_actions_adddup2(&actions, outputWriter, 1)
        posix_spawn_file_actions_adddup2(&actions, outputWriter, 2)
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        defer { words.forEach { free($0) } }
        var identifier: pid_t = 0
        let code = posix_spawnp(&identifier, arguments[0], &actions, nil, &words, environ)
        guard code == 0 else { throw SystemFailure("spawn \(arguments[0])", code) }
        return (identifier, inputWriter, outputReader)
    }

    deinit {
        closeInput()
        close(output)
        if exitCode == nil {
            kill(process, SIGKILL)
            var status: Int32 = 0
            waitpid(process, &status, 0)
        }
    }

    /// Runs a program to its end; its exit code and what it printed.
    static func run(_ arguments: [String], input: [UInt8] = []) throws -> (code: Int32, output: [UInt8]) {
        let child = try Child(arguments)
        child.type(input)
        child.closeInput()
        let code = try child.waitForExit()
        return (code, child.printed)
    }

    func type(_ text: String) {
        type(Array(text.utf8))
    }

    func type(_ bytes: [UInt8]) {
        _ = writeAll(bytes, to: input)
    }

    func closeInput() {
        if input >= 0 { close(input) }
        input = -1
    }

    /// Waits until the program has printed `text` once more than was waited for already; all that it printed so far.
    @discardableResult
    func expect(_ text: String) throws -> String {
        let wanted = Array(text.utf8)
        var start = searched[text, default: 0]
        while true {
            while start + wanted.count <= printed.count {
                start += 1
                if printed[start - 1] == wanted[0], printed[(start - 1)...].starts(with: wanted) {
                    searched[text] = start
                    return String(decoding: printed, as: UTF8.self)
                }
            }
            guard try readMore() else {
                throw SystemFailure(
                    message: "no \(text.debugDescription) in: \(String(decoding: printed, as: UTF8.self))")
            }
        }
    }

    func waitForExit() throws -> Int32 {
        while try readMore() {}
        var status: Int32 = 0
        try check(waitpid(process, &status, 0), "waitpid")
        let code = status & 0x7f == 0 ? status >> 8 & 0xff : -1
        exitCode = code
        return code
    }

    private func readMore() throws -> Bool {
        var descriptor = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        guard try check(poll(&descriptor, 1, Self.patienceMilliseconds), "poll") > 0 else {
            throw SystemFailure(message: "silent after: \(String(decoding: printed, as: UTF8.self))")
        }
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        let count = try check(read(output, &chunk, chunk.count), "read")
        printed += chunk[..<count]
        return count > 0
    }

    private static func makePipe() throws -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [-1, -1]
        try check(pipe(&ends), "pipe")
        for end in ends { try check(fcntl(end, F_SETFD, FD_CLOEXEC), "fcntl") }
        return (ends[0], ends[1])
    }
}

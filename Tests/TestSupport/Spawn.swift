import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Pipes are made and handed over under this lock: between `pipe` and the flag that closes it in children, another
/// spawn would let the other child inherit it, and its end would never be seen.
private let spawning = Mutex(())

/// A pipe whose ends no child inherits but by intent.
struct Pipe: Sendable {
    /// One end. Closing it twice closes it once.
    final class End: Sendable {
        private let descriptor: Mutex<Int32?>

        init(_ descriptor: Int32) {
            self.descriptor = Mutex(descriptor)
        }

        deinit { close() }

        var number: Int32 { descriptor.withLock { $0 ?? -1 } }

        func close() {
            descriptor.withLock { descriptor in
                if let open = descriptor { closeDescriptor(open) }
                descriptor = nil
            }
        }

        /// The count of bytes read; 0 or less at the end.
        func read(into chunk: inout [UInt8]) -> Int {
            while true {
                let count = readDescriptor(number, &chunk, chunk.count)
                if count < 0, errno == EINTR { continue }
                return count
            }
        }

        func write(_ text: String) throws {
            try write(Array(text.utf8))
        }

        func write(_ bytes: [UInt8]) throws {
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { writeDescriptor(number, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw ProcessError("the child reads no more: \(systemReason(errno))") }
                rest = rest.dropFirst(count)
            }
        }
    }

    let reading: End
    let writing: End

    init() throws {
        // A child that has gone is an error of the write to it, not the end of the tests.
        _ = signal(SIGPIPE, SIG_IGN)
        let ends = try spawning.withLock { _ in
            var ends: [Int32] = [-1, -1]
            guard pipe(&ends) == 0 else { throw ProcessError("no pipe to be had: \(systemReason(errno))") }
            for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
            return ends
        }
        reading = End(ends[0])
        writing = End(ends[1])
    }
}

/// Starts a program with the descriptors 0, 1 and 2 given; nil stands for `/dev/null`.
func spawn(
    _ executable: String, _ arguments: [String], environment: [String: String]?, directory: String?,
    descriptors: [Pipe.End?]
) throws -> pid_t {
    #if canImport(Darwin)
    var actions: posix_spawn_file_actions_t?
    var attributes: posix_spawnattr_t?
    #else
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    #endif
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }

    for (number, end) in zip(Int32(0)..., descriptors) {
        if let end {
            posix_spawn_file_actions_adddup2(&actions, end.number, number)
        } else {
            posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
        }
    }
    var command = [executable] + arguments
    if let directory {
        #if canImport(Darwin)
        posix_spawn_file_actions_addchdir_np(&actions, directory)
        #else
        // The call for it is hidden from Swift; this program changes the directory and becomes the other one, under the
        // same ID.
        command = ["/usr/bin/env", "-C", directory] + command
        #endif
    }

    // Threads of the test may block signals, and SIGPIPE is ignored here. A child starts as from a shell.
    var none = sigset_t()
    sigemptyset(&none)
    posix_spawnattr_setsigmask(&attributes, &none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

    let environment = (environment ?? currentEnvironment()).merging(Sanitizer.options) { $1 }
    return try withCStrings(command) { argv in
        try withCStrings(environment.map { "\($0.key)=\($0.value)" }) { envp in
            try spawning.withLock { _ in
                var processID: pid_t = 0
                let code = posix_spawn(&processID, command[0], &actions, &attributes, argv, envp)
                guard code == 0 else { throw ProcessError("cannot start \(executable): \(systemReason(code))") }
                return processID
            }
        }
    }
}

private func withCStrings<Result>(
    _ strings: [String], _ body: ([UnsafeMutablePointer<CChar>?]) throws -> Result
) rethrows -> Result {
    let copies = strings.map { strdup($0) }
    defer { for copy in copies { free(copy) } }
    return try body(copies + [nil])
}

func systemReason(_ code: Int32) -> String {
    String(cString: strerror(code))
}

// Inside `Pipe.End`, the plain names mean its own methods.
private func closeDescriptor(_ number: Int32) { _ = close(number) }
private func readDescriptor(_ number: Int32, _ buffer: UnsafeMutableRawPointer?, _ count: Int) -> Int {
    read(number, buffer, count)
}
private func writeDescriptor(_ number: Int32, _ buffer: UnsafeRawPointer?, _ count: Int) -> Int {
    write(number, buffer, count)
}

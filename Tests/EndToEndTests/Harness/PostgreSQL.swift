import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A PostgreSQL of the test's own: its cluster is in a temporary directory, and it listens on TCP alone.
final class PostgreSQL: Target {
    let port: UInt16
    private let directory: TemporaryDirectory
    private let process: Process
    private let password: String
    private static let user = "tester"

    init() throws {
        let directory = try TemporaryDirectory()
        let password = randomHex(bytes: 16)
        self.directory = directory
        self.password = password
        let programs = try Self.programs()
        let passwordFile = try directory.write(password + "\n", to: "password")
        let data = "\(directory.path)/data"

        // It refuses to run as root.
        var asUser: [String] = []
        if geteuid() == 0 {
            asUser = [
                try Program.path("setpriv", package: "util-linux"), "--reuid=postgres", "--regid=postgres",
                "--init-groups",
            ]
            guard let user = getpwnam("postgres") else {
                throw ProcessError("no user postgres: install the Debian package postgresql")
            }
            for path in [directory.path, passwordFile] { chown(path, user.pointee.pw_uid, user.pointee.pw_gid) }
        }
        let made = try Self.run(
            asUser + [
                "\(programs)/initdb", "--pgdata=\(data)", "--username=\(Self.user)", "--pwfile=\(passwordFile)",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
            ], in: directory)
        guard try made.wait(within: .seconds(60)) == .exited(0) else { throw ProcessError(made.transcript) }

        (process, port) = try Program.server { port in
            try Self.run(
                asUser + [
                    "\(programs)/postgres", "-D", data, "-p", "\(port)", "-c", "listen_addresses=127.0.0.1",
                    "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_destination=stderr",
                ], in: directory)
        } ready: { process, _ in
            try process.errors.waitForLine(containing: "ready to accept connections")
        }
    }

    deinit {
        // To PostgreSQL, SIGINT is the fast shutdown; what it leaves behind when killed would stay in shared memory.
        process.send(SIGINT)
        _ = try? process.wait()
    }

    /// Runs one of PostgreSQL's own clients, at a port that may be a tunnel's, and returns what it prints.
    ///
    /// - Throws: `ProcessError` when it does not end with status 0.
    func client(_ name: String, port: UInt16, _ arguments: [String]) throws -> String {
        let program = try Program.path(name, package: "postgresql", in: [Self.programs()])
        let environment = [
            "HOME": directory.path, "PGHOST": "127.0.0.1", "PGPORT": "\(port)", "PGUSER": Self.user,
            "PGPASSWORD": password, "PGDATABASE": "postgres", "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C",
        ]
        let ran = try Process.run(program, arguments, environment: environment, within: .seconds(120))
        guard ran.end == .exited(0) else { throw ProcessError("\(name): \(ran.end)\n\(ran.errors)\(ran.output)") }
        return ran.output
    }

    /// Debian keeps the server's programs of each version apart; any will do.
    private static func programs() throws -> String {
        let root = "/usr/lib/postgresql"
        for version in ((try? names(in: root)) ?? []).reversed() {
            let programs = "\(root)/\(version)/bin"
            if access("\(programs)/initdb", X_OK) == 0 { return programs }
        }
        throw ProcessError("no PostgreSQL server under \(root): install the Debian package postgresql")
    }

    private static func run(_ command: [String], in directory: TemporaryDirectory) throws -> Process {
        try Process(
            command[0], Array(command.dropFirst()), environment: ["LC_ALL": "C", "PATH": "/usr/bin:/bin"],
            directory: directory.path)
    }
}

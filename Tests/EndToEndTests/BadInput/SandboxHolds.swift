#if os(Linux)
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

@Suite(.serialized) struct `a process that is taken over` {
    private let site: Site
    private let echo: CountedEcho

    init() throws {
        site = try Site()
        echo = try CountedEcho()
    }

    /// ThreadSanitizer has a thread of its own from before the first line of ours.
    @Test(.enabled(if: Sanitizer.name != "thread"))
    func `gains no privilege, on any of its threads, in any role`() throws {
        let relay = try site.relay()
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("hello"))
        for process in [relay.process, agent, connect] {
            let tasks = "/proc/\(process.processID)/task"
            let threads = try names(in: tasks)
            #expect(threads.count > 1)
            for thread in threads {
                #expect(try text(of: "\(tasks)/\(thread)/status").contains("NoNewPrivs:\t1\n"))
            }
        }
        withExtendedLifetime((relay, agent, connect)) {}
    }

    /// The agent reads its token's file again at each dial: here a link to a file elsewhere has come in its place.
    @Test(arguments: [true, false])
    func `reads no file but those beside the ones that it was given`(isConfined: Bool) throws {
        let relay = try site.relay()
        let token = try site.token(subject: "db", role: "agent")
        let agent = try site.agent(
            at: relay.address, target: echo.address, token: token, options: isConfined ? [] : ["--no-sandbox"])
        try agent.waitUntilRegistered()
        if isConfined, agent.errors.lines.contains(where: { $0.contains("cannot confine Landlock") }) { return }

        let elsewhere = try TemporaryDirectory()
        let other = try elsewhere.write(text(of: token), to: "token")
        try #require(unlink(token) == 0 && symlink(other, token) == 0)
        relay.process.send(SIGKILL)
        try relay.process.wait()
        let again = try site.relay(listen: relay.address)
        if isConfined {
            #expect(try agent.wait() == .exited(78))
            #expect(agent.errors.lines.contains { $0.hasSuffix("\(token): Permission denied") })
        } else {
            try agent.output.waitForLine(containing: "Connected to relay: ", occurrence: 2)
        }
        withExtendedLifetime((again, elsewhere)) {}
    }

    @Test func `finds a file that was replaced beside the one it was given, and writes what it remembers`() throws {
        let relay = try site.relay()
        let token = try site.token(subject: "db", role: "agent")
        let agent = try site.agent(at: relay.address, target: echo.address, token: token)
        try agent.waitUntilRegistered()
        #expect(try text(of: site.path("agent/known_relays")).contains(relay.address))

        let renewed = try site.file(holding: text(of: token))
        try #require(rename(renewed, token) == 0)
        relay.process.send(SIGKILL)
        try relay.process.wait()
        let again = try site.relay(listen: relay.address)
        try agent.output.waitForLine(containing: "Connected to relay: ", occurrence: 2)
        withExtendedLifetime(again) {}
    }

    /// Code that is loaded into the real program tries it. What the log says that this kernel cannot confine is free, and
    /// nothing else.
    @Test(.enabled(if: currentEnvironment()["ADIT_SANITIZER"] == nil), arguments: [true, false])
    func `dials no port but those that its role needs, and sends nobody else a signal`(isConfined: Bool) throws {
        let elsewhere = try Listener()
        let victim = try Process("/bin/sleep", ["600"])
        let intruder = try Intruder(ports: [elsewhere.port, echo.port], victim: victim.processID)
        let options = isConfined ? [] : ["--no-sandbox"]
        let relay =
            try isConfined
            ? site.relay(through: intruder.launcher) : site.relay("--no-sandbox", through: intruder.launcher)
        let agent = try site.agent(
            at: relay.address, target: echo.address, through: intruder.launcher, options: options)
        try agent.waitUntilRegistered()
        let connect = try site.connect(at: relay.address, through: intruder.launcher, options: options)
        #expect(try Connection(to: connect.waitForTunnel()).echoes("hello"))

        for (process, mayReachTarget) in [(relay.process, false), (agent, true), (connect, false)] {
            let log = try process.errors.waitForLine(containing: "Sandbox ")
            let arePortsFree = !isConfined || log.contains("Landlock (") || log.contains("TCP connections (")
            let areSignalsFree = !isConfined || log.contains("Landlock (") || log.contains("signals (")
            process.send(SIGUSR2)
            for (what, isFree, error) in [
                ("port \(elsewhere.port)", arePortsFree, EACCES),
                ("port \(echo.port)", arePortsFree || mayReachTarget, EACCES),
                ("signal \(victim.processID)", areSignalsFree, EPERM),
            ] {
                try process.errors.waitForLine(containing: "intruder: \(what): \(isFree ? 0 : error)")
            }
        }
        #expect(try Connection(to: connect.waitForTunnel()).echoes("still here"))
    }

    /// To its own user a process that allows no core dump belongs to root.
    @Test(arguments: [([], 0), (["--allow-core-dumps"], 65_534)] as [([String], UInt32)])
    func `shows its memory to nobody of the same user, unless asked to`(options: [String], owner: UInt32) throws {
        try #require(geteuid() == 0, "these tests start a process of another user")
        let directory = try TemporaryDirectory()
        try #require(chown(directory.path, 65_534, 65_534) == 0)
        let relay = try Process(
            Program.path("setpriv", package: "util-linux"),
            [
                "--reuid=65534", "--regid=65534", "--clear-groups", aditBinary(), "relay", "tcp", "--listen",
                "127.0.0.1:0", "--jwt-secret", randomHex(bytes: 32), "--state-dir", "\(directory.path)/state",
            ] + options, environment: [:])
        try relay.output.waitForLine(containing: "Relay listening on ")
        var status = stat()
        try #require(stat("/proc/\(relay.processID)/mem", &status) == 0)
        #expect(status.st_uid == owner)
    }
}

/// A library that does in a process what somebody might who has taken it over; see Tests/Intruder.
private struct Intruder {
    /// Runs a program with the library in it.
    let launcher: [String]
    private let directory: TemporaryDirectory

    init(ports: [UInt16], victim: pid_t) throws {
        directory = try TemporaryDirectory()
        let library = "\(directory.path)/intruder.so"
        let source = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined() + "/Intruder/intruder.c"
        let compiler = try Program.path("cc", package: "gcc")
        let made = try Process.run(
            compiler, ["-std=c11", "-D_GNU_SOURCE", "-fPIC", "-shared", "-o", library, source])
        guard made.end == .exited(0) else { throw ProcessError(made.errors) }
        launcher = [
            try Program.path("env", package: "coreutils"), "LD_PRELOAD=\(library)", "INTRUDER_VICTIM=\(victim)",
            "INTRUDER_PORTS=\(ports.map(String.init).joined(separator: ","))",
        ]
    }
}
#endif

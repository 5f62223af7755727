import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite("running programs in tests")
struct ProcessTests {
    @Test("a child that fills both outputs before anybody reads them ends")
    func fullPipes() throws {
        let script = "head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; echo done"
        let child = try Process("/bin/sh", ["-c", script])
        #expect(try child.wait() == .exited(0))
        #expect(child.output.bytes.count == 3_000_005)
        #expect(child.errors.bytes.count == 3_000_000)
    }

    @Test("the end of a child is told apart from its death")
    func ends() throws {
        #expect(try Process.run("/bin/sh", ["-c", "exit 7"]).end == .exited(7))
        #expect(try Process.run("/bin/sh", ["-c", "kill -TERM $$"]).end == .killed(signal: SIGTERM))
        #expect(throws: ProcessError.self) { try Process("/nowhere/program", []) }
    }

    @Test("a child that nobody holds any more is dead and reaped")
    func dropped() throws {
        var child: Process? = try Process("/bin/sh", ["-c", "trap '' TERM; echo up; read line"], input: .pipe)
        try child?.output.waitForLine(containing: "up")
        let processID = try #require(child?.processID)
        #expect(kill(processID, 0) == 0)
        child = nil
        #expect(kill(processID, 0) == -1 && errno == ESRCH)
    }

    @Test("a line is waited for, the nth one too, and only as long as it can come")
    func lines() throws {
        let child = try Process("/bin/cat", [], input: .pipe)
        try child.write("one\ntwo one\npart")
        #expect(try child.output.waitForLine(containing: "one") == "one")
        #expect(try child.output.waitForLine(containing: "one", occurrence: 2) == "two one")
        #expect(throws: ProcessError.self) {
            try child.output.waitForLine(containing: "part", within: .milliseconds(50))
        }
        #expect(throws: ProcessError.self) { try child.wait(within: .milliseconds(50)) }
        child.closeInput()
        #expect(try child.output.waitForLine(containing: "part") == "part")
        #expect(throws: ProcessError.self) { try child.output.waitForLine(containing: "three") }
        #expect(try child.wait() == .exited(0))
        #expect(throws: ProcessError.self) { try child.write("too late") }
    }

    @Test("a child runs where and with what it was given")
    func surroundings() throws {
        let directory = try TemporaryDirectory()
        try directory.write("", to: "here")
        let (_, output, _) = try Process.run(
            "/bin/sh", ["-c", "echo $A; ls"], environment: ["A": "b", "PATH": "/usr/bin:/bin"],
            directory: directory.path)
        #expect(output == "b\nhere\n")
    }
}

import TestSupport
import Testing

@Suite(.serialized) struct `OpenSSH through the tunnel` {
    @Test(.timeLimit(.minutes(4))) func `copies 256 MiB to the server and back`() throws {
        let server = try SSHServer()
        let directory = try TemporaryDirectory()
        let (here, there, back) = ("\(directory.path)/here", "\(directory.path)/there", "\(directory.path)/back")
        try makeRandomFile(here, mebibytes: 256)
        let sum = try checksum(of: here)
        try withTunnel(to: server) { tunnel in
            let scp = try Program.path("scp", package: "openssh-client")
            let options = ["-q", "-P", "\(tunnel.port)"] + server.clientOptions
            for (from, to, copy) in [(here, "127.0.0.1:\(there)", there), ("127.0.0.1:\(there)", back, back)] {
                let ran = try Process.run(scp, options + [from, to], within: .seconds(100))
                #expect(ran.end == .exited(0), "\(ran.errors)")
                #expect(try checksum(of: copy) == sum)
            }
        }
    }

    @Test func `gives a terminal that answers line by line`() throws {
        let server = try SSHServer()
        try withTunnel(to: server) { tunnel in
            let ssh = try Process(
                Program.path("ssh", package: "openssh-client"),
                server.clientOptions + ["-tt", "-p", "\(tunnel.port)", "127.0.0.1", "exec /bin/sh -i"], input: .pipe)
            do {
                // The terminal echoes what is typed: only an answer that had to be worked out is one.
                try ssh.write("tty\n")
                try ssh.output.waitForLine(containing: "/dev/pts/")
                for number in 1...5 {
                    try ssh.write("echo \"answer $((\(number) * 1111))\"\n")
                    try ssh.output.waitForLine(containing: "answer \(number * 1111)")
                }
                try ssh.write("exit 7\n")
                #expect(try ssh.wait() == .exited(7))
            } catch {
                throw ProcessError("\(error)\n\(ssh.transcript)")
            }
        }
    }
}

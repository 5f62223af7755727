import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An OpenSSH server of the test's own, which lets in whoever runs the test, with a key made for it.
final class SSHServer: Target {
    let port: UInt16
    let directory: TemporaryDirectory
    private let process: Process
    private let user: String

    init() throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        guard let user = getpwuid(geteuid()) else { throw ProcessError("no name for user \(geteuid())") }
        self.user = String(cString: user.pointee.pw_name)
        let program = try Program.path("sshd", package: "openssh-server")
        let path = directory.path
        for key in ["host", "user"] {
            let made = try Process.run(
                Program.path("ssh-keygen", package: "openssh-client"),
                ["-q", "-t", "ed25519", "-N", "", "-f", "\(path)/\(key)"])
            guard made.end == .exited(0) else { throw ProcessError(made.errors) }
        }
        // Debian's service makes it at its start; sshd as root does not run without it.
        if geteuid() == 0 { mkdir("/run/sshd", 0o755) }
        (process, port) = try Program.server { port in
            let configuration = try directory.write(Self.configuration(path, port), to: "sshd_config")
            return try Process(program, ["-D", "-e", "-f", configuration])
        } ready: { process, _ in
            try process.errors.waitForLine(containing: "Server listening on")
        }
        let hostKey = try text(of: "\(path)/host.pub")
        try directory.write("the-host \(hostKey)", to: "known_hosts")
    }

    /// The options with which `ssh` and `scp` get in, at a port that may be a tunnel's; the port is `-p` or `-P` by
    /// program. The server's key is checked: it has to be this one.
    var clientOptions: [String] {
        [
            "-F", "none", "-i", "\(directory.path)/user", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
            "-o", "UserKnownHostsFile=\(directory.path)/known_hosts", "-o", "HostKeyAlias=the-host",
            "-o", "StrictHostKeyChecking=yes", "-o", "User=\(user)", "-o", "ConnectTimeout=10",
        ]
    }

    private static func configuration(_ directory: String, _ port: UInt16) -> String {
        """
        ListenAddress 127.0.0.1:\(port)
        HostKey \(directory)/host
        PidFile none
        AuthorizedKeysFile \(directory)/user.pub
        AuthenticationMethods publickey
        PermitRootLogin prohibit-password
        StrictModes no
        UsePAM no
        Subsystem sftp internal-sftp

        """
    }
}

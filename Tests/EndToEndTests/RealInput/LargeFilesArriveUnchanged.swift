import TestSupport
import Testing

@Suite(.serialized) struct `a large file` {
    @Test(.timeLimit(.minutes(5))) func `of 1 GiB is the same after going up to nginx and down again`() throws {
        let server = try Nginx()
        let directory = try TemporaryDirectory()
        let up = "\(directory.path)/up"
        let down = "\(directory.path)/down"
        try makeRandomFile(up, mebibytes: 1024)
        let sum = try checksum(of: up)
        try withTunnel(to: server) { tunnel in
            let address = "http://127.0.0.1:\(tunnel.port)/files/big"
            let curl = try Program.path("curl", package: "curl")
            let options = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "150"]

            let put = try Process.run(
                curl, options + ["--upload-file", up, "--write-out", "%{http_code}", address], within: .seconds(160))
            #expect(put == (.exited(0), "201", ""))
            #expect(try checksum(of: server.file("big")) == sum)

            let got = try Process.run(curl, options + ["--output", down, address], within: .seconds(160))
            #expect(got == (.exited(0), "", ""))
            #expect(try checksum(of: down) == sum)
        }
    }
}

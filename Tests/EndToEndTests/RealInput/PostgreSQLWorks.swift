import TestSupport
import Testing

@Suite(.serialized) struct `PostgreSQL through the tunnel` {
    @Test func `answers psql, in few rows and in many`() throws {
        let server = try PostgreSQL()
        try withTunnel(to: server) { tunnel in
            func query(_ text: String, port: UInt16 = tunnel.port) throws -> String {
                try server.client("psql", port: port, ["--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-Atc", text])
            }
            #expect(try query("select 6 * 7") == "42\n")
            #expect(try query("select inet_server_port()") == "\(server.port)\n")
            let many = "select n, md5(n::text), repeat('x', n % 500) from generate_series(1, 50000) n"
            let answer = try query(many)
            #expect(answer.utf8.count > 10 << 20)
            let isSame = try answer == query(many, port: server.port)
            #expect(isSame, "\(answer.utf8.count) bytes")
        }
    }

    @Test func `loses no transaction of pgbench`() throws {
        let server = try PostgreSQL()
        try withTunnel(to: server) { tunnel in
            _ = try server.client("pgbench", port: tunnel.port, ["--initialize", "--quiet"])
            let report = try server.client("pgbench", port: tunnel.port, ["-c", "8", "-j", "2", "-t", "200"])
            #expect(report.contains("number of transactions actually processed: 1600/1600\n"), "\(report)")
            #expect(report.contains("number of failed transactions: 0 (0.000%)\n"), "\(report)")
            // What the clients were told, and what is there.
            let rows = try server.client(
                "psql", port: server.port, ["-Atc", "select count(*) from pgbench_history"])
            #expect(rows == "1600\n")
        }
    }
}

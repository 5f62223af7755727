import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An nginx of the test's own. `/echo/…` answers with the path asked for; `/files/…` are files to get, and to put.
final class Nginx: Target {
    let port: UInt16
    private let directory: TemporaryDirectory
    private let process: Process

    init() throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        let program = try Program.path("nginx", package: "nginx-light")
        guard mkdir("\(directory.path)/files", 0o755) == 0 else { throw ProcessError("cannot make a directory") }
        (process, port) = try Program.server { port in
            let configuration = try directory.write(Self.configuration(directory.path, port), to: "nginx.conf")
            return try Process(
                program, ["-p", directory.path, "-e", "stderr", "-c", configuration], directory: directory.path)
        } ready: { process, port in
            try process.waitUntilListening(on: port)
        }
    }

    /// Where a file that has been put, or is to be got, is.
    func file(_ name: String) -> String { "\(directory.path)/files/\(name)" }

    /// One process, which a kill ends whole.
    private static func configuration(_ directory: String, _ port: UInt16) -> String {
        """
        daemon off;
        master_process off;
        pid nginx.pid;
        events { worker_connections 1024; }
        http {
            access_log off;
            sendfile on;
            keepalive_requests 100000;
            default_type application/octet-stream;
            client_max_body_size 0;
            client_body_temp_path body;
            proxy_temp_path proxy;
            fastcgi_temp_path fastcgi;
            uwsgi_temp_path uwsgi;
            scgi_temp_path scgi;
            server {
                listen 127.0.0.1:\(port);
                root \(directory);
                location /echo/ { return 200 "$request_uri"; }
                location /files/ { dav_methods PUT; }
            }
        }

        """
    }
}

extension Process {
    /// Waits until a port of 127.0.0.1 takes connections.
    ///
    /// - Throws: `ProcessError` when the process ends before, or when time is up.
    func waitUntilListening(on port: UInt16) throws {
        let listens = eventually { end != nil || (try? Connection(to: port)) != nil }
        guard listens, end == nil else { throw ProcessError("nothing listens on port \(port)\n\(transcript)") }
    }
}

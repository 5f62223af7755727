import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite("what the service manager is told")
struct ReadinessTests {
    /// The manager's socket: keeps what it is sent until it is asked.
    private struct Manager: ~Copyable {
        private let descriptor: Int32

        /// - Parameter name: A path, or an abstract name behind an `@`.
        init(name: String) throws {
            #if canImport(Glibc)
            descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
            #else
            descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
            #endif
            var address = sockaddr_un()
            address.sun_family = sa_family_t(AF_UNIX)
            withUnsafeMutableBytes(of: &address.sun_path) { room in
                room.copyBytes(from: name.utf8)
                if name.hasPrefix("@") { room[0] = 0 }
            }
            let length = socklen_t(MemoryLayout<sockaddr_un>.offset(of: \.sun_path)! + name.utf8.count)
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
            }
            var limit = timeval(tv_sec: 30, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            guard code == 0 else { throw ProcessError("cannot listen on \(name): \(errno)") }
        }

        deinit { close(descriptor) }

        /// The next message; nil if none comes in time.
        func message() -> String? {
            var bytes = [UInt8](repeating: 0, count: 1024)
            let count = recv(descriptor, &bytes, bytes.count, 0)
            return count < 0 ? nil : String(decoding: bytes.prefix(count), as: UTF8.self)
        }
    }

    private func transcript(socket name: String, directory: TemporaryDirectory) throws {
        let manager = try Manager(name: name)
        let relay = try Process(
            aditBinary(), ["relay", "tcp", "--listen", "127.0.0.1:0", "--jwt-secret", RoleTests.secret],
            environment: ["HOME": directory.path, "NOTIFY_SOCKET": name])
        #expect(manager.message() == "READY=1")
        try relay.output.waitForLine(containing: "Relay listening on")
        relay.send(SIGTERM)
        #expect(manager.message() == "STOPPING=1")
        #expect(try relay.wait() == .exited(0))
    }

    @Test("a relay is ready when it listens, and says when it stops")
    func path() throws {
        let directory = try TemporaryDirectory()
        try transcript(socket: "\(directory.path)/notify", directory: directory)
    }

    #if os(Linux)
    @Test("the socket may be abstract")
    func abstract() throws {
        let directory = try TemporaryDirectory()
        try transcript(socket: "@\(directory.path)/notify", directory: directory)
    }
    #endif

    @Test(
        "a manager that is gone does not matter",
        arguments: ["/nowhere/at/all", "nonsense", String(repeating: "/x", count: 100)])
    func gone(name: String) throws {
        let directory = try TemporaryDirectory()
        let relay = try Process(
            aditBinary(), ["relay", "tcp", "--listen", "127.0.0.1:0", "--jwt-secret", RoleTests.secret],
            environment: ["HOME": directory.path, "NOTIFY_SOCKET": name])
        try relay.output.waitForLine(containing: "Relay key")
        relay.send(SIGTERM)
        #expect(try relay.wait() == .exited(0))
    }
}

import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `the end of a role` {
    private static let limit = Duration.seconds(5)

    @Test(arguments: ["relay", "agent", "connect"])
    func `SIGTERM ends each role in good order`(role: String) throws {
        let tunnel = try Tunnel.start(target: Service.echo())
        try end(role, of: tunnel)
    }

    @Test(arguments: ["relay", "agent", "connect"])
    func `SIGTERM ends each role in good order while bytes flow both ways`(role: String) throws {
        let tunnel = try Tunnel.start(target: Service.echo())
        let connection = try tunnel.open()
        let sender = Background {
            let chunk = [UInt8](repeating: 7, count: 65_536)
            while true { try connection.send(chunk) }
        }
        // Well under way: more has come back than all windows together hold at the beginning.
        _ = try connection.receive(exactly: 4 * 1024 * 1024)
        let receiver = Background {
            while try !connection.receive().isEmpty {}
        }
        #expect(!sender.hasEnded)
        try end(role, of: tunnel)
        // The connection has ended with the role, one way or the other, at both of its ends.
        #expect(eventually(within: Self.limit) { receiver.hasEnded && sender.hasEnded })
    }

    private func end(_ role: String, of tunnel: Tunnel) throws {
        let process = try #require(tunnel.parties.first { $0.name == role }).process
        var end: Process.End?
        let time = try elapsed {
            process.send(SIGTERM)
            end = try process.wait()
        }
        #expect(end == .exited(0))
        #expect(time < Self.limit)
        // The other two live on, and wait.
        for (name, other) in tunnel.parties where name != role { #expect(other.end == nil, "\(name)") }
    }
}

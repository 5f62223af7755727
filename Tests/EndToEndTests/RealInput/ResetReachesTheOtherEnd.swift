import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

@Suite(.serialized) struct `a reset` {
    /// Both ends of a connection over which a message has gone each way.
    private func established(_ tunnel: Tunnel, _ service: Listener) throws -> (client: Connection, served: Connection) {
        let client = try tunnel.open()
        let served = try service.accept()
        try client.send("there")
        #expect(try served.receive(exactly: 5) == Array("there".utf8))
        try served.send("back")
        #expect(try client.receive(exactly: 4) == Array("back".utf8))
        return (client, served)
    }

    private func expectReset(_ connection: Connection) {
        let error = #expect(throws: SocketError.self) { _ = try connection.receiveToEnd() }
        #expect(error?.code == ECONNRESET)
    }

    @Test func `of a client that vanishes reaches the target, and nobody else`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let (client, served) = try established(tunnel, service)
            let (other, otherServed) = try established(tunnel, service)
            try client.reset()
            expectReset(served)
            try other.send("still here")
            #expect(try otherServed.receive(exactly: 10) == Array("still here".utf8))
        }
    }

    @Test func `of a target reaches the client, and nobody else`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let (client, served) = try established(tunnel, service)
            let (other, otherServed) = try established(tunnel, service)
            try served.reset()
            expectReset(client)
            try otherServed.send("still here")
            #expect(try other.receive(exactly: 10) == Array("still here".utf8))
        }
    }

    @Test func `reaches a target that has half-closed, and a client that has`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let (client, served) = try established(tunnel, service)
            try served.finishSending()
            #expect(try client.receiveToEnd() == [])
            try client.reset()
            expectReset(served)

            let (next, nextServed) = try established(tunnel, service)
            try next.finishSending()
            #expect(try nextServed.receiveToEnd() == [])
            try nextServed.reset()
            expectReset(next)
        }
    }

    #if os(Linux)
    @Test(arguments: [false, true])
    func `that follows an end at once is not taken for that end`(isClient: Bool) throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let (client, served) = try established(tunnel, service)
            let (leaver, other) = isClient ? (client, served) : (served, client)
            let party = isClient ? tunnel.connect : tunnel.agent
            // It hears of both at once, and so must have stopped before the first: with all its threads.
            party.send(SIGSTOP)
            #expect(try eventually { try hasStopped(party) })
            try leaver.finishSending()
            try leaver.reset()
            party.send(SIGCONT)
            expectReset(other)
        }
    }
    #endif

    @Test func `in the middle of a transfer ends it at the other end`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let client = try tunnel.open()
            let served = try service.accept()
            let sending = Background { while true { try served.send([UInt8](repeating: 7, count: 65_536)) } }
            _ = try client.receive(exactly: 4_000_000)
            try client.reset()
            let error = #expect(throws: SocketError.self) { try sending.value() }
            #expect([ECONNRESET, EPIPE].contains(error?.code))
        }
    }

    @Test(arguments: [false, true], [false, true])
    func `of who reads nothing reaches who writes, and leaves nothing behind`(isClient: Bool, hasFinished: Bool) throws
    {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let first = try established(tunnel, service)
            defer { withExtendedLifetime(first) {} }
            #if os(Linux)
            let descriptors = try openDescriptors(of: tunnel)
            #endif
            for _ in 0..<3 {
                let (client, served) = try established(tunnel, service)
                let (writer, reader) = isClient ? (served, client) : (client, served)
                // More than the socket toward the reader takes; the end of it waits behind that.
                _ = try writer.sendUntilFull(limit: hasFinished ? 6 << 20 : 64 << 20)
                if hasFinished { try writer.finishSending() }
                try reader.reset()
                expectReset(writer)
            }
            #if os(Linux)
            let isAsBefore = try eventually {
                try zip(openDescriptors(of: tunnel), descriptors).allSatisfy { $0 <= $1 }
            }
            #expect(isAsBefore)
            #endif
        }
    }

    #if os(Linux)
    /// Whether no thread of it runs: state `T` in proc(5)'s `stat`, behind the name in parentheses.
    private func hasStopped(_ party: Process) throws -> Bool {
        let tasks = "/proc/\(party.processID)/task"
        return try names(in: tasks).allSatisfy { try text(of: "\(tasks)/\($0)/stat").contains(") T ") }
    }

    private func openDescriptors(of tunnel: Tunnel) throws -> [Int] {
        try [tunnel.agent, tunnel.connect].map { try names(in: "/proc/\($0.processID)/fd").count }
    }
    #endif
}

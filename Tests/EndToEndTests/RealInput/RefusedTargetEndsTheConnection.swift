import TestSupport
import Testing

@Suite(.serialized) struct `a target where nothing listens` {
    @Test func `ends the local connection at once, and connect says why`() throws {
        let service = try Listener(listening: false)
        try withTunnel(to: service) { tunnel in
            let begun = ContinuousClock.now
            let connection = try tunnel.open()
            let received = Result { try connection.receiveToEnd() }
            let time = ContinuousClock.now - begun
            #expect(time < .seconds(1))
            // A direct connection would have been reset; its end is as good, bytes from nowhere are not.
            if case .success(let bytes) = received { #expect(bytes == []) }
            let line = try tunnel.connect.errors.waitForLine(containing: "refused by the agent")
            #expect(line.contains("127.0.0.1:\(service.port): connection refused"))

            // The session outlives it: the service comes up, and the next connection works.
            try service.listen()
            let next = try tunnel.open()
            let served = try service.accept()
            try next.send("now")
            #expect(try served.receive(exactly: 3) == Array("now".utf8))
            #expect(tunnel.connect.output.lines.filter { $0.contains("Tunnel ready") }.count == 1)
        }
    }
}

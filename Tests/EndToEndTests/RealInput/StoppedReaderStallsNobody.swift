#if os(Linux)
import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A download whose reader stops for ten seconds, while others use the same session.
@Suite(.serialized) struct `a reader that stops reading` {
    private static let downloadBytes = 256 << 20
    private static let otherDownloadBytes = 64 << 20
    private static let pause = Duration.seconds(10)
    /// Far over what a small request takes, far under what waiting for a stopped reader would.
    private static let longestMedian = Duration.milliseconds(20)
    /// At each party: the windows of two transfers, and what the allocator does not give back.
    private static let mostGrowthBytes = 64 << 20

    /// Memory and latency are a sanitizer's own where there is one.
    @Test(.enabled(if: Sanitizer.name == nil))
    func `stalls nobody else, costs bounded memory, and gets every byte in the end`() throws {
        let sent = Monitor(0)
        let service = try Service { try serve($0, sent) }
        try withTunnel(to: service) { tunnel in
            let warm = try tunnel.open()
            try askForLittle(warm)
            let before = try tunnel.parties.map { try $0.process.residentBytes() }

            let stopped = try Connection(to: tunnel.port, receiveBuffer: 64 << 10)
            try stopped.send("D")
            var pattern = Pattern()
            try pattern.expect(stopped.receive(exactly: 1 << 20))

            let other = Background { [port = tunnel.port] in
                let connection = try Connection(to: port)
                try connection.send("d")
                try receive(Self.otherDownloadBytes, over: connection)
            }
            var latencies: [Duration] = []
            var growth = [0, 0, 0]
            let begun = ContinuousClock.now
            while ContinuousClock.now - begun < Self.pause {
                // In turn over the connection that is there and over a fresh one.
                let asked = ContinuousClock.now
                try askForLittle(latencies.count.isMultiple(of: 2) ? warm : tunnel.open())
                latencies.append(ContinuousClock.now - asked)
                for (index, party) in tunnel.parties.enumerated() {
                    growth[index] = max(growth[index], try party.process.residentBytes() - before[index])
                }
            }

            #expect(other.hasEnded)
            try other.value()
            latencies.sort()
            #expect(latencies.count > 200)
            #expect(latencies[latencies.count / 2] < Self.longestMedian, "the slowest: \(latencies.suffix(5))")
            for (party, growth) in zip(tunnel.parties, growth) {
                #expect(growth < Self.mostGrowthBytes, "\(party.name) grew by \(growth >> 20) MiB")
            }
            // Otherwise the target was not held up, and all this says nothing.
            let sentMeanwhile = sent.change { $0 }
            #expect(sentMeanwhile < Self.downloadBytes / 2, "the target sent \(sentMeanwhile >> 20) MiB")

            try receive(Self.downloadBytes, over: stopped, after: pattern)
        }
    }

    /// What waits for a reader lies in sockets. The agent would hold 256 KiB of each, and as much again of what it
    /// sealed, if it read what it cannot send.
    @Test(.enabled(if: Sanitizer.name == nil))
    func `costs the agent next to nothing, however many there are`() throws {
        let readers = 100
        let sent = Monitor(0)
        let service = try Service { try serve($0, sent) }
        try withTunnel(to: service) { tunnel in
            try askForLittle(tunnel.open())
            let agent = try #require(tunnel.parties.first { $0.name == "agent" }?.process)
            let before = try agent.anonymousBytes()
            let stopped = try (0..<readers).map { _ in
                let connection = try Connection(to: tunnel.port, receiveBuffer: 64 << 10)
                try connection.send("D")
                return connection
            }
            var growth = 0
            var last = 0
            var sentNow = 0
            let deadline = ContinuousClock.now + Process.patience
            // Until nothing has moved for a second.
            repeat {
                last = sentNow
                for _ in 0..<50 {
                    growth = max(growth, try agent.anonymousBytes() - before)
                    usleep(20_000)
                }
                sentNow = sent.change { $0 }
            } while sentNow > last || sentNow < readers << 20 && ContinuousClock.now < deadline
            #expect(sentNow >= readers << 20, "the target sent \(sentNow >> 10) KiB")
            #expect(growth < readers * (128 << 10), "it grew by \(growth >> 10) KiB")
            for connection in stopped { try connection.reset() }
            try askForLittle(tunnel.open())
        }
    }

    /// What more comes for a connection that waits anyway is read when its turn has come.
    @Test func `wakes nobody, however often more comes for it`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let connection = try tunnel.open()
            try connection.sendFewBytesAtOnce()
            let reader = try service.accept()
            var pattern = Pattern()
            var sleeps: [Int] = []
            // Again, should connect have waited for the processor and not for its turn.
            repeat {
                while try unreadBytes(onPort: tunnel.port) == 0 {
                    guard pattern.count < 256 << 20 else { throw ProcessError("it never waits") }
                    try connection.send(pattern.next(atMost: 8192))
                    _ = try eventually(within: .milliseconds(200)) { try unreadBytes(onPort: tunnel.port) == 0 }
                }
                let waiting = try unreadBytes(onPort: tunnel.port)
                let before = try tunnel.parties.map { try $0.process.sleeps() }
                for _ in 0..<100 {
                    try connection.send(pattern.next(atMost: 64))
                    usleep(2000)
                }
                sleeps = try zip(tunnel.parties, before).map { try $0.process.sleeps() - $1 }
                guard try unreadBytes(onPort: tunnel.port) != waiting + 6400 else { break }
            } while true
            for ((name, _), sleeps) in zip(tunnel.parties, sleeps) { #expect(sleeps < 50, "\(name)") }
            try connection.finishSending()
            try receive(pattern.count, over: reader)
            reader.close()
        }
    }

    /// `D` asks for the download that is counted, `d` for the other one, anything else for itself.
    private func serve(_ connection: Connection, _ sent: Monitor<Int>) throws {
        while let request = try connection.receive(atMost: 1).first {
            let size =
                switch request {
                case UInt8(ascii: "D"): Self.downloadBytes
                case UInt8(ascii: "d"): Self.otherDownloadBytes
                default: 0
                }
            guard size > 0 else {
                try connection.send([request])
                continue
            }
            var pattern = Pattern()
            while pattern.count < size {
                let piece = pattern.next(atMost: min(65_536, size - pattern.count))
                try connection.send(piece)
                if request == UInt8(ascii: "D") { sent.change { $0 += piece.count } }
            }
            return
        }
    }

    private func askForLittle(_ connection: Connection) throws {
        let question = UInt8(ascii: "0") + .random(in: 0..<10)
        try connection.send([question])
        #expect(try connection.receive(exactly: 1) == [question])
    }

    private func receive(_ count: Int, over connection: Connection, after pattern: Pattern = Pattern()) throws {
        var pattern = pattern
        while pattern.count < count {
            let bytes = try connection.receive(atMost: 1 << 20)
            guard !bytes.isEmpty else { throw ProcessError("the end after \(pattern.count) of \(count) bytes") }
            try pattern.expect(bytes)
        }
        #expect(try connection.receive() == [])
    }
}
#endif

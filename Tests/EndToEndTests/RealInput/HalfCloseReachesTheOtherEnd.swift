import TestSupport
import Testing

@Suite(.serialized) struct `the end of one direction` {
    @Test(arguments: [0, 1, 100_000, 3_000_000])
    func `reaches a target that answers only after it`(count: Int) throws {
        let service = try Service { connection in
            let request = try connection.receiveToEnd()
            try connection.send("\(request.count) bytes:")
            try connection.send(request.reversed())
        }
        try withTunnel(to: service) { tunnel in
            let connection = try tunnel.open()
            let request = (0..<count).map { UInt8(truncatingIfNeeded: $0 / 251) }
            try connection.send(request)
            try connection.finishSending()
            let answer = try connection.receiveToEnd()
            // Compared outside of the expectation, which would print all of it.
            let isRight = answer == Array("\(count) bytes:".utf8) + request.reversed()
            #expect(isRight, "\(answer.count) bytes")
        }
    }

    @Test func `reaches a client that goes on sending after it`() throws {
        let greeting = Array("goodbye already".utf8)
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let connection = try tunnel.open()
            let served = try service.accept()
            try served.send(greeting)
            try served.finishSending()
            #expect(try connection.receiveToEnd() == greeting)

            // Only now, with the target's direction long over.
            let body = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 / 257) }
            let received = Background { try served.receiveToEnd() }
            try connection.send(body)
            try connection.finishSending()
            let bytes = try received.value()
            let isRight = bytes == body
            #expect(isRight, "\(bytes.count) bytes")
        }
    }

    @Test func `does not end the other direction`() throws {
        let service = try Listener()
        try withTunnel(to: service) { tunnel in
            let connection = try tunnel.open()
            try connection.finishSending()
            let served = try service.accept()
            #expect(try served.receiveToEnd() == [])
            for round in 0..<20 {
                let message = Array("answer \(round)".utf8)
                try served.send(message)
                #expect(try connection.receive(exactly: message.count) == message)
            }
            served.close()
            #expect(try connection.receiveToEnd() == [])
        }
    }
}

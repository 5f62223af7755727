import TLSEngine
import Testing

@Suite struct RecordTests {
    @Test(arguments: [0, 1, 100, 16_383, 16_384, 16_385, 1 << 20], [1000, Int.max])
    func `bytes of any count come back unchanged`(count: Int, pieceSize: Int) throws {
        try expectEcho(of: count, inPiecesOf: pieceSize)
    }

    @Test(arguments: [0, 1, 100, 16_383, 16_384, 16_385], [1, 7])
    func `ciphertext may arrive in crumbs`(count: Int, pieceSize: Int) throws {
        try expectEcho(of: count, inPiecesOf: pieceSize)
    }

    private func expectEcho(of count: Int, inPiecesOf pieceSize: Int) throws {
        let pair = try Contexts().connected()
        let data = sample(count)
        try pair.client.send(data)
        converse(pair.client, pair.server, inPiecesOf: pieceSize)
        #expect(pair.server.received == data)
        try pair.server.send(pair.server.takeReceived())
        converse(pair.client, pair.server, inPiecesOf: pieceSize)
        #expect(pair.client.received == data)
        #expect(pair.client.failure == nil)
        #expect(pair.server.failure == nil)
    }

    @Test(arguments: [0, 1, 16_383, 16_384, 16_385, 32_768, 100_000])
    func `sealed bytes take exactly the announced size`(count: Int) throws {
        let pair = try Contexts().connected()
        try pair.client.send(sample(count))
        #expect(pair.client.take().count == TLSConnection.sealedSize(count))
    }

    @Test func `a read buffer smaller than a record loses nothing`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client)
        let server = try Endpoint(contexts.server, readSize: 100)
        converse(client, server)
        let data = sample(40_000)
        try client.send(data)
        converse(client, server)
        #expect(server.received == data)
    }

    @Test func `that nothing is left to read is known without reading`() throws {
        let pair = try Contexts().connected()
        try pair.client.send(sample(100))
        try pair.client.send(sample(50))
        let (reader, records) = (pair.server.connection, pair.client.take())
        var memory = [UInt8](repeating: 0, count: 60)
        func read() throws -> (TLSConnection.ReadResult, hasMore: Bool) {
            (try memory.withUnsafeMutableBytes { try reader.read(into: $0) }, reader.hasInput)
        }

        #expect(!reader.hasInput)
        try records.withUnsafeBytes { bytes in
            reader.feed(UnsafeRawBufferPointer(rebasing: bytes.dropLast()))
            #expect(reader.hasInput)
            try #expect(read() == (.bytes(60), hasMore: true), "the rest of a record")
            try #expect(read() == (.bytes(40), hasMore: true), "half a record")
            try #expect(read().0 == .needsInput)
            reader.feed(UnsafeRawBufferPointer(rebasing: bytes.suffix(1)))
            #expect(reader.hasInput)
            try #expect(read() == (.bytes(50), hasMore: false))
        }
        pair.client.close()
        try pair.client.take().withUnsafeBytes { bytes in
            reader.feed(bytes)
            #expect(reader.hasInput)
            try #expect(read().0 == .closed)
        }
    }

    @Test func `too little room to write into is misuse, and nothing is lost`() throws {
        let pair = try Contexts().connected()
        let data = sample(1000)
        var small = [UInt8](repeating: 0, count: TLSConnection.sealedSize(1000) - 1)
        #expect(throws: TLSError.misuse("too little room to write into")) {
            try data.withUnsafeBytes { from in
                try small.withUnsafeMutableBytes { try pair.client.connection.write(from, into: $0) }
            }
        }
        try pair.client.send(data)
        converse(pair.client, pair.server)
        #expect(pair.server.received == data)
    }

    // MARK: - Attacks

    @Test func `a flipped bit anywhere in a record yields no plaintext`() throws {
        let contexts = try Contexts()
        let size = TLSConnection.sealedSize(32)
        for offset in 0..<size {
            let pair = try contexts.connected()
            try pair.client.send(sample(32))
            var record = pair.client.take()
            record[offset] ^= 0x04
            pair.server.receive(record)
            #expect(pair.server.received.isEmpty, "byte \(offset)")
            if offset >= 5 {
                #expect(pair.server.failure == .recordFailed("decryption failed or bad record mac"), "byte \(offset)")
                pair.client.receive(pair.server.take())
                #expect(pair.client.failure == .alert("bad record mac"), "byte \(offset)")
            }
        }
    }

    @Test func `a record that is repeated, left out or out of order fails`() throws {
        let contexts = try Contexts()
        for order in [[0, 0], [1], [1, 0]] {
            let pair = try contexts.connected()
            var records: [[UInt8]] = []
            for _ in 0..<2 {
                try pair.client.send(sample(32))
                records.append(pair.client.take())
            }
            for index in order { pair.server.receive(records[index]) }
            #expect(pair.server.failure == .recordFailed("decryption failed or bad record mac"), "\(order)")
        }
    }

    @Test func `garbage after the handshake fails the record layer`() throws {
        let pair = try Contexts().connected()
        pair.server.receive(sample(70_000))
        guard case .recordFailed = pair.server.failure else {
            Issue.record("\(String(describing: pair.server.failure))")
            return
        }
    }

    @Test func `a record cut short is neither data nor an end`() throws {
        let pair = try Contexts().connected()
        try pair.client.send(sample(500))
        pair.server.receive(Array(pair.client.take().dropLast()))
        #expect(pair.server.received.isEmpty)
        #expect(!pair.server.isClosed)
        #expect(pair.server.failure == nil)
    }

    // MARK: - Close

    @Test func `after a close the other direction still carries data`() throws {
        let pair = try Contexts().connected()
        try pair.client.send([1])
        pair.client.close()
        converse(pair.client, pair.server)
        #expect(pair.server.received == [1])
        #expect(pair.server.isClosed)
        #expect(throws: TLSError.misuse("write after close")) { try pair.client.send([2]) }

        try pair.server.send([3])
        pair.server.close()
        converse(pair.client, pair.server)
        #expect(pair.client.received == [3])
        #expect(pair.client.isClosed)
    }

    @Test func `close_notify is sent once`() throws {
        let pair = try Contexts().connected()
        pair.client.close()
        let notice = pair.client.take()
        #expect(notice.count == 5 + 2 + 1 + 16)  // header, alert, content type, tag
        pair.client.close()
        #expect(pair.client.take().isEmpty)
    }

    @Test func `what follows close_notify is ignored`() throws {
        let pair = try Contexts().connected()
        pair.client.close()
        pair.server.receive(pair.client.take() + sample(100))
        pair.server.receive(sample(100))
        #expect(pair.server.isClosed)
        #expect(pair.server.failure == nil)
        #expect(pair.server.received.isEmpty)
    }

    // MARK: - Keys

    @Test func `keys are renewed while data flows both ways`() throws {
        let pair = try Contexts().connected(recordsPerKey: 3)
        var up: [UInt8] = []
        var down: [UInt8] = []
        for round in 0..<50 {
            let data = sample(round * 997)
            try pair.client.send(data)
            try pair.server.send(data)
            up += data
            down += data
            converse(pair.client, pair.server)
        }
        #expect(pair.server.received == up)
        #expect(pair.client.received == down)
        #expect(pair.client.failure == nil)
        #expect(pair.server.failure == nil)
    }

    @Test func `a new key takes one more record, and the old one no longer opens what follows`() throws {
        let contexts = try Contexts()
        let pair = try contexts.connected(recordsPerKey: 1)
        try pair.client.send([1])
        #expect(pair.client.take().count == TLSConnection.sealedSize(1))
        try pair.client.send([2])
        let keyUpdate = 5 + 5 + 1 + 16  // header, message, content type, tag
        #expect(pair.client.take().count == keyUpdate + TLSConnection.sealedSize(1))
    }

    @Test func `what was pending goes before what is written`() throws {
        let pair = try Contexts().connected(recordsPerKey: 1)
        try pair.client.send([1])
        let first = pair.client.take()
        // No room beside the record for the key update that precedes it.
        var output = [UInt8](repeating: 0, count: TLSConnection.sealedSize(1))
        let count = try [UInt8]([2]).withUnsafeBytes { from in
            try output.withUnsafeMutableBytes { try pair.client.connection.write(from, into: $0) }
        }
        #expect(count == output.count)
        #expect(pair.client.connection.pendingOutput == 5 + 5 + 1 + 16)
        pair.server.receive(first + output + pair.client.take())
        #expect(pair.server.received == [1, 2])
    }
}

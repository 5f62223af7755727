import TLSEngine
import Testing

@Suite struct HandshakeTests {
    @Test(arguments: [1, 7, 1000, Int.max])
    func `both sides learn the other's key, however the bytes arrive`(pieceSize: Int) throws {
        let contexts = try Contexts()
        let (clientWitness, serverWitness) = (Witness(), Witness())
        let client = try Endpoint(contexts.client, check: clientWitness.check())
        let server = try Endpoint(contexts.server, check: serverWitness.check())
        converse(client, server, inPiecesOf: pieceSize)

        #expect(client.connection.peer?.fingerprint == contexts.serverIdentity.fingerprint)
        #expect(server.connection.peer?.fingerprint == contexts.clientIdentity.fingerprint)
        #expect(clientWitness.peers.map(\.fingerprint) == [contexts.serverIdentity.fingerprint])
        #expect(serverWitness.peers.map(\.fingerprint) == [contexts.clientIdentity.fingerprint])
        #expect(client.connection.peer?.authorityVerdict == .notAsked)
    }

    @Test func `the peer is unknown until the handshake is established`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client)
        let server = try Endpoint(contexts.server)
        client.start()
        server.receive(client.take())
        #expect(client.connection.peer == nil)
        #expect(server.connection.peer == nil)
        client.receive(server.take())
        #expect(client.connection.peer != nil)
        #expect(server.connection.peer == nil)
    }

    @Test func `a context serves connections on several threads at once`() async throws {
        let contexts = try Contexts()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<25 {
                        let pair = try contexts.connected()
                        try pair.client.send([1, 2, 3])
                        converse(pair.client, pair.server)
                        #expect(pair.server.received == [1, 2, 3])
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    // MARK: - Verdicts

    @Test func `a client that rejects the server sends an alert and no certificate`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client, check: { _ in .reject(reason: "unknown key") })
        let witness = Witness()
        let server = try Endpoint(contexts.server, check: witness.check())
        converse(client, server)
        #expect(client.failure == .peerRejected(reason: "unknown key"))
        #expect(server.failure == .alert("bad certificate"))
        #expect(witness.peers.isEmpty)
        #expect(client.connection.peer == nil)
    }

    @Test func `a server that rejects the client sends an alert and nothing else`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client)
        let server = try Endpoint(contexts.server, check: { _ in .reject(reason: "not authorized") })
        client.start()
        server.receive(client.take())
        client.receive(server.take())
        #expect(client.isEstablished)
        server.receive(client.take())
        #expect(server.failure == .peerRejected(reason: "not authorized"))
        let alert = server.take()
        #expect(alert.count == 5 + 2 + 1 + 16)  // header, alert, content type, tag
        client.receive(alert)
        #expect(client.failure == .alert("bad certificate"))
        #expect(server.connection.peer == nil)
    }

    @Test func `a failed connection answers every later call with its first error`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client, check: { _ in .reject(reason: "no") })
        let server = try Endpoint(contexts.server)
        converse(client, server)
        #expect(throws: TLSError.peerRejected(reason: "no")) { try client.connection.handshake() }
        #expect(throws: TLSError.peerRejected(reason: "no")) { try client.send([1]) }
        client.close()
        #expect(client.connection.pendingOutput == 0)
    }

    // MARK: - Protocol

    @Test func `a server refuses a client of another protocol`() throws {
        let contexts = try Contexts(clientProtocol: "adit-e2e/1")
        let client = try Endpoint(contexts.client)
        let server = try Endpoint(contexts.server)
        converse(client, server)
        #expect(server.failure == .handshakeFailed("the peer does not speak adit/1"))
        #expect(client.failure == .alert("no application protocol"))
    }

    @Test func `a protocol name has 1 to 255 bytes`() throws {
        let identity = try Identity.generate(commonName: "adit")
        for name in ["", String(repeating: "a", count: 256)] {
            #expect(throws: TLSError.misuse("an alpn protocol has 1 to 255 bytes")) {
                try TLSContext(role: .client, identity: identity, alpn: name)
            }
        }
        _ = try TLSContext(role: .client, identity: identity, alpn: String(repeating: "a", count: 255))
    }

    // MARK: - Bad input

    enum Garbage: CaseIterable {
        case zeros, ones, noise, anotherProtocol, oversizedRecord, oversizedHello, ancientHello

        var bytes: [UInt8] {
            switch self {
            case .zeros: [UInt8](repeating: 0, count: 64)
            case .ones: [UInt8](repeating: 0xff, count: 64)
            case .noise: sample(4096)
            case .anotherProtocol: Array("SSH-2.0-OpenSSH_9.2\r\n".utf8)
            case .oversizedRecord: [22, 3, 1, 0xff, 0xff]
            case .oversizedHello: [22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff]
            case .ancientHello: [0x80, 0x2e, 1, 3, 1, 0, 3, 0, 0, 0, 0x20]
            }
        }
    }

    @Test(arguments: Garbage.allCases)
    func `garbage ends the handshake of either side`(garbage: Garbage) throws {
        let contexts = try Contexts()
        let server = try Endpoint(contexts.server)
        server.receive(garbage.bytes)
        server.receive(sample(70_000))
        let client = try Endpoint(contexts.client)
        client.start()
        client.receive(garbage.bytes)
        client.receive(sample(70_000))
        for endpoint in [client, server] {
            guard case .handshakeFailed = endpoint.failure else {
                Issue.record("\(String(describing: endpoint.failure))")
                continue
            }
        }
    }

    @Test func `a web browser that calls the server is recognised`() throws {
        let server = try Endpoint(Contexts().server)
        server.receive(Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8))
        #expect(server.failure == .handshakeFailed("the peer speaks HTTP, not TLS"))
    }

    @Test func `no changed byte of the first flight leads to a connection`() throws {
        let contexts = try Contexts()
        let length = try { () throws in
            let client = try Endpoint(contexts.client)
            client.start()
            return client.take().count
        }()
        // The record's own header is not authenticated, and its version field means nothing.
        for offset in 5..<length {
            let client = try Endpoint(contexts.client)
            let server = try Endpoint(contexts.server)
            client.start()
            var flight = client.take()
            flight[offset] ^= 1 << (offset % 8)
            server.receive(flight)
            client.receive(server.take())
            server.receive(client.take())
            #expect(!server.isEstablished, "changed byte \(offset)")
        }
    }

    @Test func `no changed byte of the server's flight leads to a connection`() throws {
        let contexts = try Contexts()
        let length = try { () throws in
            let client = try Endpoint(contexts.client)
            let server = try Endpoint(contexts.server)
            client.start()
            server.receive(client.take())
            return server.take().count
        }()
        var established: [Int] = []
        for offset in 0..<length {
            let client = try Endpoint(contexts.client)
            let server = try Endpoint(contexts.server)
            client.start()
            server.receive(client.take())
            var flight = server.take()
            if offset < flight.count { flight[offset] ^= 0x10 }
            client.receive(flight)
            if client.isEstablished { established.append(offset) }
        }
        // What TLS 1.3 leaves unprotected: the version in the header of the first record, of which only the first byte is looked
        // at, and what a flight does not have (they vary in length with their ECDSA signature).
        #expect(established.allSatisfy { $0 == 2 || $0 >= length - 8 }, "changed bytes \(established) of \(length)")
    }

    @Test func `half a flight only makes the engine wait`() throws {
        let contexts = try Contexts()
        let client = try Endpoint(contexts.client)
        let server = try Endpoint(contexts.server)
        client.start()
        let flight = client.take()
        server.receive(Array(flight.dropLast()))
        #expect(server.failure == nil)
        #expect(server.take().isEmpty)
        server.receive([flight[flight.count - 1]])
        #expect(!server.take().isEmpty)
    }

    // MARK: - Misuse

    @Test func `plaintext before the handshake is misuse`() throws {
        let client = try Endpoint(Contexts().client)
        #expect(throws: TLSError.misuse("write before the handshake was established")) { try client.send([1]) }
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(throws: TLSError.misuse("read before the handshake was established")) {
            try buffer.withUnsafeMutableBytes { try client.connection.read(into: $0) }
        }
    }

    @Test func `input that would overwrite unread input is misuse`() throws {
        let server = try Endpoint(Contexts().server)
        let bytes: [UInt8] = [22, 3, 1]
        bytes.withUnsafeBytes {
            server.connection.feed($0)
            server.connection.feed($0)
        }
        #expect(throws: TLSError.misuse("fed before the last input was consumed")) { try server.connection.handshake() }
    }

    @Test func `a server takes no server name`() throws {
        let contexts = try Contexts()
        #expect(throws: TLSError.misuse("a server expects no server name")) {
            try Endpoint(contexts.server, serverName: "relay.example")
        }
    }
}

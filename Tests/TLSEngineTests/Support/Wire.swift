import TLSEngine

/// An endpoint on a socket, whose other end a program holds.
final class Wire {
    let endpoint: Endpoint
    private let socket: Socket
    private let program: Child

    init(_ socket: Socket, _ endpoint: Endpoint, to program: Child) {
        self.socket = socket
        self.program = program
        self.endpoint = endpoint
    }

    /// Throws what ended the handshake, after sending the alert for it.
    func handshake() throws {
        endpoint.start()
        try advance { endpoint.isEstablished }
        try flush()
    }

    func send(_ plaintext: [UInt8]) throws {
        try endpoint.send(plaintext)
        try flush()
    }

    /// The next `count` bytes of plaintext.
    func receive(_ count: Int) throws -> [UInt8] {
        try advance { endpoint.received.count >= count }
        return endpoint.takeReceived()
    }

    /// Waits for ciphertext; the plaintext in it.
    func receiveAnything() throws -> [UInt8] {
        let bytes = try socket.receive()
        guard !bytes.isEmpty else { throw SystemFailure(message: "the connection ended") }
        endpoint.receive(bytes)
        try flush()
        return endpoint.takeReceived()
    }

    func receiveClose() throws {
        try advance { endpoint.isClosed }
    }

    func flush() throws {
        let bytes = endpoint.take()
        if !bytes.isEmpty { try socket.send(bytes) }
    }

    private func advance(until done: () -> Bool) throws {
        while true {
            try flush()
            if let failure = endpoint.failure { throw failure }
            if done() { return }
            let bytes = try socket.receive()
            guard !bytes.isEmpty else { throw SystemFailure(message: "the connection ended") }
            endpoint.receive(bytes)
        }
    }
}

import COpenSSL
import Testing

@testable import TLSEngine

@Suite struct PipeTests {
    /// Two ends in the hands of the test, so that it sees what OpenSSL was told about its buffers.
    private final class End {
        let ssl: OpaquePointer
        let pipe: OpaquePointer
        /// What was fed and may not be read yet.
        private var input: UnsafeMutableBufferPointer<UInt8> = .allocate(capacity: 0)

        init(_ context: TLSContext) throws {
            ssl = try #require(SSL_new(context.handle.pointer))
            if context.role == .client { SSL_set_connect_state(ssl) } else { SSL_set_accept_state(ssl) }
            // Who is at the other end is of no matter here.
            SSL_set_verify(ssl, SSL_VERIFY_NONE, nil)
            pipe = try #require(adit_pipe_connect(ssl))
        }

        deinit {
            SSL_free(ssl)
            input.deallocate()
            ERR_clear_error()
        }

        var givesBuffersBack: Bool {
            SSL_ctrl(ssl, SSL_CTRL_MODE, 0, nil) & Int(SSL_MODE_RELEASE_BUFFERS) != 0
        }

        func feed(_ bytes: [UInt8]) -> Bool {
            input.deallocate()
            input = .allocate(capacity: bytes.count)
            _ = input.initialize(from: bytes)
            return bytes.isEmpty || adit_pipe_feed(pipe, input.baseAddress, bytes.count)
        }

        func drain() -> [UInt8] {
            var bytes = [UInt8](repeating: 0, count: adit_pipe_pending(pipe))
            #expect(adit_pipe_drain(pipe, &bytes, bytes.count) == bytes.count)
            return bytes
        }

        func write(_ bytes: [UInt8]) -> Bool {
            var count = 0
            return SSL_write_ex(ssl, bytes, bytes.count, &count) == 1 && count == bytes.count
        }

        /// The bytes of one record, or 0 for none.
        func read() -> Int {
            var memory = [UInt8](repeating: 0, count: 16 * 1024)
            var count = 0
            return SSL_read_ex(ssl, &memory, memory.count, &count) == 1 ? count : 0
        }
    }

    @Test func `buffers are kept while there is more input than a record, and no longer`() throws {
        let contexts = try Contexts()
        let client = try End(contexts.client)
        let server = try End(contexts.server)
        for _ in 0..<4 {
            _ = SSL_do_handshake(client.ssl)
            #expect(server.feed(client.drain()))
            _ = SSL_do_handshake(server.ssl)
            #expect(client.givesBuffersBack && server.givesBuffersBack)
            #expect(client.feed(server.drain()))
        }
        try #require(SSL_is_init_finished(client.ssl) == 1 && SSL_is_init_finished(server.ssl) == 1)

        #expect(server.write([UInt8](repeating: 1, count: 100)))
        #expect(client.feed(server.drain()))
        #expect(client.givesBuffersBack, "for one short record")
        #expect(client.read() == 100)

        #expect(server.write([UInt8](repeating: 2, count: 40_000)))
        #expect(client.feed(server.drain()))
        #expect(client.read() == 16 * 1024)
        #expect(!client.givesBuffersBack)
        #expect(client.read() + client.read() == 40_000 - 16 * 1024)
        #expect(!adit_pipe_is_empty(client.pipe), "they are still to be given back")
        #expect(client.read() == 0)
        #expect(client.givesBuffersBack && adit_pipe_is_empty(client.pipe))

        // What is written while more is still to be read gives its own back.
        #expect(server.write([UInt8](repeating: 3, count: 40_000)))
        #expect(client.feed(server.drain()))
        #expect(client.read() == 16 * 1024)
        var room = [UInt8](repeating: 0, count: 1024)
        room.withUnsafeMutableBytes { room in
            adit_pipe_set_region(client.pipe, room.baseAddress, room.count)
            #expect(client.givesBuffersBack)
            _ = adit_pipe_end_region(client.pipe)
        }
    }
}

import TLSEngine
import Testing

/// The `openssl` command as the peer, over TCP.
@Suite(.timeLimit(.minutes(2))) struct InteropTests {
    private let directory: TemporaryDirectory
    /// PEM file of the identity that `openssl` presents.
    private let theirFile: String
    private let theirs: Identity
    private let ours: Identity

    init() throws {
        directory = try TemporaryDirectory()
        theirFile = directory.file("theirs.pem")
        theirs = try Identity.loadOrCreate(path: theirFile, commonName: "theirs")
        ours = try Identity.generate(commonName: "ours")
    }

    // MARK: - s_client calls us

    /// Starts `openssl s_client` with `options` and accepts its connection.
    private func calledByClient(
        _ options: [String], check: @escaping PeerCheck = { _ in .accept }
    ) throws -> (tool: Child, wire: Wire) {
        let (listener, port) = try Socket.listening()
        let tool = try Child(["openssl", "s_client", "-connect", "127.0.0.1:\(port)"] + options)
        let context = try TLSContext(role: .server, identity: ours, alpn: Contexts.alpn)
        return (tool, Wire(try listener.accepted(), try Endpoint(context, check: check), to: tool))
    }

    private var asKnownClient: [String] {
        ["-cert", theirFile, "-key", theirFile, "-alpn", Contexts.alpn]
    }

    @Test func `s_client exchanges data with us and closes`() throws {
        let (tool, wire) = try calledByClient(asKnownClient + ["-quiet", "-no_ign_eof"])
        try wire.handshake()
        #expect(wire.endpoint.connection.peer?.fingerprint == theirs.fingerprint)
        tool.type("hello from openssl\n")
        #expect(try wire.receive(19) == Array("hello from openssl\n".utf8))
        try wire.send(Array("hello from adit\n".utf8))
        try tool.expect("hello from adit\n")
        tool.closeInput()
        try wire.receiveClose()
        #expect(try tool.waitForExit() == 0)
    }

    @Test func `s_client takes and sends megabytes`() throws {
        let (tool, wire) = try calledByClient(asKnownClient + ["-quiet", "-no_ign_eof"])
        try wire.handshake()
        let line = String(repeating: "0123456789abcde\n", count: 65_536)
        try wire.send(Array(line.utf8))
        try wire.send(Array("the end\n".utf8))
        try tool.expect(line + "the end\n")
        tool.type(line)
        #expect(try wire.receive(line.utf8.count) == Array(line.utf8))
    }

    @Test func `s_client sees our agreed settings`() throws {
        let (tool, wire) = try calledByClient(asKnownClient)
        try wire.handshake()
        let report = try tool.expect("Verify return code")
        for line in [
            "New, TLSv1.3, Cipher is TLS_", "ALPN protocol: adit/1", "Server Temp Key: X25519", "Compression: NONE",
            "Early data was not sent", "No client certificate CA names sent",
        ] {
            #expect(report.contains(line), "\(line)")
        }
    }

    @Test(arguments: [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ])
    func `each cipher suite of TLS 1.3 works`(suite: String) throws {
        let (tool, wire) = try calledByClient(asKnownClient + ["-ciphersuites", suite])
        try wire.handshake()
        try tool.expect("Cipher is \(suite)")
        try wire.send(Array("hello\n".utf8))
        try tool.expect("hello\n")
    }

    @Test(arguments: ["X25519", "P-256"])
    func `each of our groups works, with a second hello where it was not guessed`(group: String) throws {
        let (_, wire) = try calledByClient(asKnownClient + ["-groups", "P-384:\(group)"])
        try wire.handshake()
        #expect(wire.endpoint.connection.peer?.fingerprint == theirs.fingerprint)
    }

    @Test func `key updates that s_client sends and asks for are answered`() throws {
        let (tool, wire) = try calledByClient(asKnownClient)
        try wire.handshake()
        try tool.expect("Verify return code")
        for round in 0..<3 {
            tool.type("k\n")
            try tool.expect("KEYUPDATE")
            tool.type("one \(round)\n")
            #expect(try wire.receive(6) == Array("one \(round)\n".utf8))
            tool.type("K\n")
            try tool.expect("KEYUPDATE")
            tool.type("two \(round)\n")
            #expect(try wire.receive(6) == Array("two \(round)\n".utf8))
            try wire.send(Array("answer \(round)\n".utf8))
            try tool.expect("answer \(round)\n")
        }
    }

    // MARK: - s_client that we refuse

    @Test func `a client without a certificate is refused`() throws {
        let (tool, wire) = try calledByClient(["-alpn", Contexts.alpn])
        #expect(throws: TLSError.handshakeFailed("peer did not return a certificate")) { try wire.handshake() }
        #expect(try tool.waitForExit() != 0)
        try tool.expect("alert certificate required")
    }

    @Test func `a client that we reject sees the alert`() throws {
        let (tool, wire) = try calledByClient(asKnownClient, check: { _ in .reject(reason: "not authorized") })
        #expect(throws: TLSError.peerRejected(reason: "not authorized")) { try wire.handshake() }
        try tool.expect("alert bad certificate")
    }

    @Test(arguments: [[], ["-alpn", "http/1.1"], ["-alpn", "adit"], ["-alpn", "adit/10"]])
    func `a client of no protocol or another one is refused`(options: [String]) throws {
        let (tool, wire) = try calledByClient(["-cert", theirFile, "-key", theirFile] + options)
        #expect(throws: TLSError.handshakeFailed("the peer does not speak adit/1")) { try wire.handshake() }
        try tool.expect("alert no application protocol")
    }

    @Test func `our protocol is found among several`() throws {
        let (_, wire) = try calledByClient(["-cert", theirFile, "-key", theirFile, "-alpn", "http/1.1,adit/1"])
        try wire.handshake()
        #expect(wire.endpoint.isEstablished)
    }

    @Test(arguments: ["-tls1_2", "-tls1_1"])
    func `a client of an older version is refused`(version: String) throws {
        let (tool, wire) = try calledByClient(asKnownClient + [version, "-cipher", "ALL:@SECLEVEL=0"])
        #expect(throws: TLSError.handshakeFailed("the peer does not speak TLS 1.3")) { try wire.handshake() }
        try tool.expect("alert protocol version")
    }

    // MARK: - We call s_server

    /// Starts `openssl s_server` with `options` and connects to it.
    private func callingServer(
        _ options: [String], check: @escaping PeerCheck = { _ in .accept }
    ) throws -> (tool: Child, wire: Wire) {
        let tool = try Child(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", theirFile, "-key", theirFile] + options)
        let banner = try tool.expect("ACCEPT 127.0.0.1:")
        let digits = banner.split(separator: "ACCEPT 127.0.0.1:")[1].prefix { $0.isNumber }
        let port = try #require(UInt16(digits))
        let context = try TLSContext(role: .client, identity: ours, alpn: Contexts.alpn)
        let endpoint = try Endpoint(context, serverName: "localhost", check: check)
        return (tool, Wire(try Socket.connected(to: port), endpoint, to: tool))
    }

    @Test func `we exchange data with s_server and close`() throws {
        let (tool, wire) = try callingServer(["-alpn", Contexts.alpn, "-Verify", "1", "-naccept", "1"])
        try wire.handshake()
        #expect(wire.endpoint.connection.peer?.fingerprint == theirs.fingerprint)
        try wire.send(Array("hello from adit\n".utf8))
        let report = try tool.expect("hello from adit\n")
        #expect(report.contains("CN = ours"))
        #expect(report.contains("ALPN protocols selected: adit/1"))
        tool.type("hello from openssl\n")
        #expect(try wire.receive(19) == Array("hello from openssl\n".utf8))
        wire.endpoint.close()
        try wire.flush()
        try tool.expect("DONE")
    }

    @Test func `s_server takes and sends megabytes`() throws {
        let (tool, wire) = try callingServer(["-alpn", Contexts.alpn, "-Verify", "1"])
        try wire.handshake()
        let line = String(repeating: "0123456789abcde\n", count: 65_536)
        try wire.send(Array(line.utf8))
        try wire.send(Array("the end\n".utf8))
        try tool.expect(line + "the end\n")
        tool.type(line)
        #expect(try wire.receive(line.utf8.count) == Array(line.utf8))
    }

    @Test func `key updates that s_server sends and asks for are answered`() throws {
        let (tool, wire) = try callingServer(["-alpn", Contexts.alpn, "-Verify", "1", "-num_tickets", "0"])
        try wire.handshake()
        for round in 0..<3 {
            for command in ["k", "K"] {
                try wire.send(Array("\(command) \(round)\n".utf8))
                try tool.expect("\(command) \(round)\n")
                tool.type("\(command)\n")
                #expect(try wire.receiveAnything().isEmpty)
                tool.type("data \(round)\n")
                #expect(try wire.receive(7) == Array("data \(round)\n".utf8))
            }
        }
        try wire.send(Array("the end\n".utf8))
        try tool.expect("the end\n")
    }

    // MARK: - s_server that we refuse

    @Test func `a server that selects no protocol is refused`() throws {
        let (tool, wire) = try callingServer([])
        #expect(throws: TLSError.handshakeFailed("the peer does not speak adit/1")) { try wire.handshake() }
        try tool.expect("alert handshake failure")
    }

    @Test func `a server of another protocol refuses us`() throws {
        let (_, wire) = try callingServer(["-alpn", "http/1.1"])
        #expect(throws: TLSError.alert("no application protocol")) { try wire.handshake() }
    }

    @Test func `a server of an older version is refused`() throws {
        let (_, wire) = try callingServer(["-alpn", Contexts.alpn, "-tls1_2"])
        #expect(throws: TLSError.handshakeFailed("the peer does not speak TLS 1.3")) { try wire.handshake() }
    }

    @Test func `a server that we reject sees the alert`() throws {
        let (tool, wire) = try callingServer(
            ["-alpn", Contexts.alpn], check: { _ in .reject(reason: "unknown key") })
        #expect(throws: TLSError.peerRejected(reason: "unknown key")) { try wire.handshake() }
        try tool.expect("alert bad certificate")
    }
}

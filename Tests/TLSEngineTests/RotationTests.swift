import Testing

@testable import TLSEngine

@Suite struct RotationTests {
    private let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("identity.pem")
    }

    private func rotated(_ count: Int) throws -> (first: Identity, others: [Identity]) {
        let first = try Identity.loadOrCreate(path: path, commonName: "adit")
        return (first, try (0..<count).map { _ in try Identity.rotate(path: path, commonName: "adit") })
    }

    /// What the other side of a handshake is shown of `identity`.
    private func presented(by identity: Identity) throws -> PeerCertificate {
        let witness = Witness()
        let other = try Identity.generate(commonName: "other")
        let client = try Endpoint(
            try TLSContext(role: .client, identity: other, alpn: Contexts.alpn), check: witness.check())
        let server = try Endpoint(try TLSContext(role: .server, identity: identity, alpn: Contexts.alpn))
        converse(client, server)
        try #require(client.isEstablished)
        return try #require(witness.peers.first)
    }

    @Test func `a key that was not rotated follows none`() throws {
        #expect(try presented(by: rotated(0).first).predecessors.isEmpty)
    }

    @Test func `a rotated key shows which keys it follows, the newest first`() throws {
        let (first, others) = try rotated(3)
        let keys = [first.fingerprint] + others.map(\.fingerprint)
        #expect(Set(keys).count == 4)
        let peer = try presented(by: others[2])
        #expect(peer.fingerprint == keys[3])
        #expect(peer.predecessors == [keys[2], keys[1], keys[0]])
        // The file holds the newest.
        let read = try Identity.loadOrCreate(path: path, commonName: "adit")
        #expect(try presented(by: read).predecessors == peer.predecessors)
    }

    @Test func `the oldest statements give way`() throws {
        let (first, others) = try rotated(Rotation.mostStatements + 1)
        let peer = try presented(by: others[Rotation.mostStatements])
        #expect(peer.predecessors == others.dropLast().reversed().map(\.fingerprint))
        #expect(!peer.predecessors.contains(first.fingerprint))
    }

    @Test func `the new file is the user's alone, and nothing else is left`() throws {
        _ = try rotated(2)
        #expect(try permissions(path) == 0o600)
        #expect(try TemporaryDirectory.names(in: directory.path) == ["identity.pem"])
    }

    @Test func `openssl verifies a statement, over the text that PROTOCOL gives`() throws {
        let first = try Identity.loadOrCreate(path: path, commonName: "adit")
        let old = try OpenSSL.run(
            "pkey", "-pubin", "-outform", "der", input: OpenSSL.run("x509", "-in", path, "-noout", "-pubkey"))
        _ = try Identity.rotate(path: path, commonName: "adit")
        let new = try OpenSSL.run(
            "pkey", "-pubin", "-outform", "der", input: OpenSSL.run("x509", "-in", path, "-noout", "-pubkey"))

        // The key is the first thing in the certificate of that kind, the statement the last.
        let certificate = try OpenSSL.run("x509", "-in", path, "-outform", "der")
        let start = try #require(certificate.indices.last { certificate[$0...].starts(with: old) })
        let length = Int(certificate[start + old.count])
        let signature = Array(certificate[(start + old.count + 1)...].prefix(length))
        let text = Array("adit key rotation 1\0".utf8) + old + new
        let verdict = try OpenSSL.run(
            "dgst", "-sha256", "-keyform", "der", "-verify", file(holding: old, "old.der"), "-signature",
            file(holding: signature, "signature"), input: text)
        #expect(String(decoding: verdict, as: UTF8.self) == "Verified OK\n")
        #expect(Fingerprint(encodedKey: old) == first.fingerprint)
    }

    // MARK: - Attacks

    private func statements(_ count: Int) throws -> Rotation {
        let newest = try rotated(count).others[count - 1]
        return try #require(presented(by: newest).rotation)
    }

    @Test func `a flipped bit anywhere ends the chain there`() throws {
        let rotation = try statements(2)
        let keys = rotation.predecessors
        try #require(keys.count == 2)
        let first = P256.encodedCount + 1 + Int(rotation.encoded[P256.encodedCount])
        for index in rotation.encoded.indices {
            var encoded = rotation.encoded
            encoded[index] ^= 1
            let found = Rotation(key: rotation.key, encoded: encoded).predecessors
            #expect(found == (index < first ? [] : [keys[0]]), "byte \(index)")
        }
    }

    @Test func `statements cut short lead no further than they are whole`() throws {
        let rotation = try statements(2)
        let keys = rotation.predecessors
        for count in rotation.encoded.indices {
            let found = Rotation(key: rotation.key, encoded: Array(rotation.encoded.prefix(count))).predecessors
            #expect(found.count < 2 && keys.starts(with: found))
        }
        #expect(Rotation(key: rotation.key, encoded: rotation.encoded + [0]).predecessors == keys)
    }

    @Test func `a statement about one key says nothing about another`() throws {
        let rotation = try statements(1)
        try #require(rotation.predecessors.count == 1)
        #expect(try Rotation(key: encodedKey(of: "thief"), encoded: rotation.encoded).predecessors.isEmpty)
    }

    @Test func `a link of the chain cannot be left out or turned round`() throws {
        let rotation = try statements(2)
        let first = P256.encodedCount + 1 + Int(rotation.encoded[P256.encodedCount])
        let (newer, older) = (rotation.encoded[..<first], rotation.encoded[first...])
        #expect(Rotation(key: rotation.key, encoded: Array(older)).predecessors.isEmpty)
        #expect(Rotation(key: rotation.key, encoded: Array(older + newer)).predecessors.isEmpty)
        // A key that signed its successor is not followed by its predecessor.
        let old = Array(older.prefix(P256.encodedCount))
        #expect(Rotation(key: old, encoded: rotation.encoded).predecessors.isEmpty)
    }

    @Test func `a key of another kind cannot be rotated, and stays`() throws {
        let (key, certificate) = (directory.file("key.pem"), directory.file("certificate.pem"))
        try OpenSSL.run(
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=adit", "-keyout", key, "-out", certificate)
        let before = try readFile(key) + readFile(certificate)
        _ = try file(holding: before, "identity.pem")
        #expect(throws: TLSError.file(path: path, reason: "only a P-256 key can be followed by another")) {
            try Identity.rotate(path: path, commonName: "adit")
        }
        #expect(try readFile(path) == before)
    }

    @Test func `where there is no key there is none to rotate`() throws {
        #expect(throws: TLSError.file(path: path, reason: "does not exist")) {
            try Identity.rotate(path: path, commonName: "adit")
        }
        #expect(try TemporaryDirectory.names(in: directory.path).isEmpty)
    }

    private func file(holding bytes: [UInt8], _ name: String) throws -> String {
        let path = try directory.write("", to: name)
        let descriptor = try check(open(path, O_WRONLY | O_CLOEXEC), "open \(path)")
        defer { close(descriptor) }
        guard writeAll(bytes, to: descriptor) else { throw SystemFailure("write \(path)") }
        return path
    }

    /// DER of a fresh key, by openssl.
    private func encodedKey(of name: String) throws -> [UInt8] {
        let file = directory.file("\(name).pem")
        try OpenSSL.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", file)
        return try OpenSSL.run("pkey", "-in", file, "-pubout", "-outform", "der")
    }
}

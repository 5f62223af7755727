import TLSEngine
import Testing

/// What a peer's certificate is worth against certificate authorities.
@Suite struct AuthorityTests {
    private let directory: TemporaryDirectory
    private let authority: Authority
    private let clientIdentity: Identity

    init() throws {
        directory = try TemporaryDirectory()
        authority = try Authority(in: directory)
        clientIdentity = try Identity.generate(commonName: "client")
    }

    /// What a client hears that wants `name` and asks `authorities` about the server's certificate.
    private func verdict(
        on server: Identity, for name: String, by authorities: TLSContext.Authorities? = nil
    ) throws -> AuthorityVerdict {
        let client = try TLSContext(
            role: .client, identity: clientIdentity, alpn: Contexts.alpn,
            authorities: authorities ?? .file(authority.certificate))
        let witness = Witness()
        let clientEnd = try Endpoint(client, serverName: name, check: witness.check(askingAuthorities: true))
        let serverEnd = try Endpoint(TLSContext(role: .server, identity: server, alpn: Contexts.alpn))
        converse(clientEnd, serverEnd)
        // Accepted by the check, whatever the authorities say: the handshake must not fail over what they left behind.
        #expect(clientEnd.failure == nil)
        #expect(serverEnd.isEstablished)
        let peer = try #require(clientEnd.connection.peer)
        #expect(witness.peers.map(\.authorityVerdict) == [.notAsked, peer.authorityVerdict])
        #expect(peer.fingerprint == server.fingerprint)
        return peer.authorityVerdict
    }

    private func identity(names: String, subject: String = "leaf", days: Int = 30) throws -> Identity {
        let leaf = try authority.issue("leaf", names: names, subject: subject, days: days)
        return try Identity.load(certificateFile: leaf.certificate, keyFile: leaf.key)
    }

    @Test(arguments: [
        ("relay.example", nil), ("RELAY.example", nil), ("relay.example.", nil), ("a.tunnel.example", nil),
        ("127.0.0.1", nil), ("::1", nil), ("0:0:0:0:0:0:0:1", nil),
        ("other.example", "hostname mismatch"), ("relay.example.org", "hostname mismatch"),
        ("a.b.tunnel.example", "hostname mismatch"), ("tunnel.example", "hostname mismatch"),
        ("foo.partial.example", "hostname mismatch"), ("leaf", "hostname mismatch"),
        ("127.0.0.2", "IP address mismatch"), ("::2", "IP address mismatch"),
    ])
    func `the certificate must bear the name that was asked for`(name: String, failure: String?) throws {
        let server = try identity(
            names: "DNS:relay.example,DNS:*.tunnel.example,DNS:f*.partial.example,IP:127.0.0.1,IP:::1")
        #expect(try verdict(on: server, for: name) == failure.map { .failure($0) } ?? .genuine)
    }

    @Test func `a common name stands for no host`() throws {
        #expect(
            try verdict(on: identity(names: "", subject: "relay.example"), for: "relay.example")
                == .failure("hostname mismatch"))
    }

    @Test func `an expired certificate is found out`() throws {
        let server = try identity(names: "DNS:relay.example", days: -1)
        #expect(try verdict(on: server, for: "relay.example") == .failure("certificate has expired"))
    }

    @Test func `another authority of the same name does not vouch`() throws {
        let impostor = try Authority(in: TemporaryDirectory())
        let server = try identity(names: "DNS:relay.example")
        let found = try verdict(on: server, for: "relay.example", by: .file(impostor.certificate))
        #expect(
            found == .failure("certificate signature failure")
                || found == .failure("unable to get local issuer certificate"))
    }

    @Test func `an unknown authority does not vouch`() throws {
        let stranger = try Authority(in: directory, name: "stranger")
        let server = try identity(names: "DNS:relay.example")
        #expect(
            try verdict(on: server, for: "relay.example", by: .file(stranger.certificate))
                == .failure("unable to get local issuer certificate"))
        #expect(
            try verdict(on: server, for: "relay.example", by: .system)
                == .failure("unable to get local issuer certificate"))
    }

    @Test func `a self-signed certificate is called that`() throws {
        let server = try Identity.generate(commonName: "relay.example")
        #expect(try verdict(on: server, for: "relay.example") == .failure("self-signed certificate"))
    }

    @Test func `a server's own certificate may be its authority`() throws {
        let leaf = try authority.issue("leaf", names: "DNS:relay.example")
        let server = try Identity.load(certificateFile: leaf.certificate, keyFile: leaf.key)
        #expect(try verdict(on: server, for: "relay.example", by: .file(leaf.certificate)) == .genuine)
    }

    @Test func `a chain leads over the intermediates that the server sends`() throws {
        let middle = try authority.subordinate("middle")
        let leaf = try middle.issue("leaf", names: "DNS:relay.example")
        let bare = try Identity.load(certificateFile: leaf.certificate, keyFile: leaf.key)
        #expect(try verdict(on: bare, for: "relay.example") == .failure("unable to get local issuer certificate"))

        let chain = try readFile(leaf.certificate) + readFile(middle.certificate)
        let file = try directory.write(String(decoding: chain, as: UTF8.self), to: "chain.pem")
        let whole = try Identity.load(certificateFile: file, keyFile: leaf.key)
        #expect(try verdict(on: whole, for: "relay.example") == .genuine)
    }

    @Test func `a chain that is too long leads nowhere`() throws {
        var chain: [UInt8] = []
        var issuer = authority
        for depth in 0..<6 {
            issuer = try issuer.subordinate("middle-\(depth)")
            chain = try readFile(issuer.certificate) + chain
        }
        let leaf = try issuer.issue("leaf", names: "DNS:relay.example")
        let text = String(decoding: try readFile(leaf.certificate) + chain, as: UTF8.self)
        let server = try Identity.load(certificateFile: directory.write(text, to: "chain.pem"), keyFile: leaf.key)
        #expect(try verdict(on: server, for: "relay.example") == .failure("certificate chain too long"))
    }

    @Test func `a server verifies its clients against authorities too`() throws {
        let leaf = try authority.issue("client", names: "")
        let known = try Identity.load(certificateFile: leaf.certificate, keyFile: leaf.key)
        let server = try TLSContext(
            role: .server, identity: Identity.generate(commonName: "server"), alpn: Contexts.alpn,
            authorities: .file(authority.certificate))
        for (identity, expected) in [
            (known, AuthorityVerdict.genuine), (clientIdentity, .failure("self-signed certificate")),
        ] {
            let client = try TLSContext(role: .client, identity: identity, alpn: Contexts.alpn)
            let clientEnd = try Endpoint(client)
            let serverEnd = try Endpoint(server, check: Witness().check(askingAuthorities: true))
            converse(clientEnd, serverEnd)
            #expect(try #require(serverEnd.connection.peer).authorityVerdict == expected)
        }
    }

    // MARK: - Misuse and files

    @Test func `a client with authorities needs a name that can be verified`() throws {
        let context = try TLSContext(
            role: .client, identity: clientIdentity, alpn: Contexts.alpn, authorities: .file(authority.certificate))
        #expect(throws: TLSError.misuse("a client with certificate authorities needs a server name")) {
            try Endpoint(context)
        }
        for name in ["", ".", "relay.example\0.evil.example", String(repeating: "a", count: 256)] {
            #expect(throws: TLSError.misuse("not a server name: \(name.debugDescription)")) {
                try Endpoint(context, serverName: name)
            }
        }
    }

    @Test func `an authorities file that cannot be used is named`() throws {
        let empty = try directory.write("", to: "empty.pem")
        for path in [directory.file("missing.pem"), empty] {
            #expect {
                try TLSContext(role: .client, identity: clientIdentity, alpn: Contexts.alpn, authorities: .file(path))
            } throws: { error in
                guard case .file(path, let reason) = error as? TLSError else { return false }
                return !reason.isEmpty
            }
        }
    }

    // MARK: - SNI

    @Test(arguments: [("relay.example", true), ("127.0.0.1", false), ("::1", false)])
    func `a server is told its name unless it is an address`(name: String, told: Bool) throws {
        let context = try TLSContext(role: .client, identity: clientIdentity, alpn: Contexts.alpn)
        let client = try Endpoint(context, serverName: name)
        client.start()
        let hello = String(decoding: client.take(), as: Unicode.ASCII.self)
        #expect(hello.contains(name) == told)
    }
}

import TLSEngine
import Testing

@Suite struct IdentityTests {
    private let directory: TemporaryDirectory
    private let path: String

    init() throws {
        directory = try TemporaryDirectory()
        path = directory.file("identity.pem")
    }

    private func loadOrCreate() throws -> Identity {
        try Identity.loadOrCreate(path: path, commonName: "adit")
    }

    // MARK: - Making

    @Test func `an identity is made once and found again`() throws {
        let made = try loadOrCreate()
        #expect(try loadOrCreate().fingerprint == made.fingerprint)
        #expect(try OpenSSL.fingerprint(of: path) == made.fingerprint.description)
    }

    @Test func `file and directories are the user's alone, and nothing else is left`() throws {
        let deep = directory.file("state/adit/identity.pem")
        _ = try Identity.loadOrCreate(path: deep, commonName: "adit")
        #expect(try permissions(deep) == 0o600)
        #expect(try permissions(directory.file("state")) == 0o700)
        #expect(try permissions(directory.file("state/adit")) == 0o700)
        #expect(try TemporaryDirectory.names(in: directory.file("state/adit")) == ["identity.pem"])
    }

    @Test func `creators that race end with one identity`() async throws {
        for round in 0..<20 {
            let path = directory.file("race-\(round)/identity.pem")
            let fingerprints = try await withThrowingTaskGroup(of: Fingerprint.self) { group in
                for _ in 0..<8 {
                    group.addTask { try Identity.loadOrCreate(path: path, commonName: "adit").fingerprint }
                }
                return try await group.reduce(into: Set()) { $0.insert($1) }
            }
            #expect(fingerprints.count == 1)
            #expect(try TemporaryDirectory.names(in: directory.file("race-\(round)")) == ["identity.pem"])
        }
    }

    @Test func `the certificate is a self-signed P-256 one that does not expire`() throws {
        _ = try Identity.loadOrCreate(path: path, commonName: "relay.example")
        let text = String(decoding: try OpenSSL.run("x509", "-in", path, "-noout", "-text"), as: UTF8.self)
        for part in [
            "Version: 3", "Issuer: CN = relay.example", "Subject: CN = relay.example", "ASN1 OID: prime256v1",
            "Signature Algorithm: ecdsa-with-SHA256", "CA:FALSE", "Not After : Dec 31 23:59:59 9999 GMT",
        ] {
            #expect(text.contains(part), "\(part)")
        }
        try OpenSSL.run("verify", "-CAfile", path, "-check_ss_sig", path)
        try OpenSSL.run("x509", "-in", path, "-noout", "-checkend", "\(30 * 365 * 24 * 60 * 60)")
    }

    @Test(arguments: ["", String(repeating: "n", count: 65)])
    func `a common name that no certificate can hold is misuse`(name: String) throws {
        #expect(throws: TLSError.misuse("a common name has 1 to 64 characters")) {
            try Identity.loadOrCreate(path: path, commonName: name)
        }
        #expect(try TemporaryDirectory.names(in: directory.path).isEmpty)
    }

    // MARK: - Files that will not do

    @Test(arguments: [0o640, 0o604, 0o620, 0o602, 0o601, 0o660, 0o666, 0o644] as [mode_t])
    func `a file that is open to others is refused by name and mode`(mode: mode_t) throws {
        _ = try loadOrCreate()
        try check(chmod(path, mode), "chmod")
        #expect(throws: TLSError.permissions(path: path, mode: UInt16(mode))) { try loadOrCreate() }
        #expect(try permissions(path) == mode)
    }

    @Test func `a file of a stricter mode is taken`() throws {
        let made = try loadOrCreate()
        try check(chmod(path, 0o400), "chmod")
        #expect(try loadOrCreate().fingerprint == made.fingerprint)
    }

    enum Damage: CaseIterable {
        case empty, noise, keyOnly, certificateOnly, anotherKey, encryptedKey, truncated
    }

    @Test(arguments: Damage.allCases)
    func `a broken file is reported and kept`(damage: Damage) throws {
        try directory.write(broken(damage), to: "identity.pem")
        let before = try readFile(path)
        #expect { try loadOrCreate() } throws: { error in
            guard case .file(path, let reason) = error as? TLSError else { return false }
            return !reason.isEmpty
        }
        #expect(try readFile(path) == before)
    }

    private func broken(_ damage: Damage) throws -> String {
        _ = try Identity.loadOrCreate(path: directory.file("good.pem"), commonName: "adit")
        _ = try Identity.loadOrCreate(path: directory.file("other.pem"), commonName: "adit")
        let good = directory.file("good.pem")
        let text = try readText(good)
        let certificate = String(decoding: try OpenSSL.run("x509", "-in", good), as: UTF8.self)
        switch damage {
        case .empty: return ""
        case .noise: return String(repeating: "no key here\n", count: 10)
        case .keyOnly: return String(decoding: try OpenSSL.run("pkey", "-in", good), as: UTF8.self)
        case .certificateOnly: return certificate
        case .anotherKey:
            return String(decoding: try OpenSSL.run("pkey", "-in", directory.file("other.pem")), as: UTF8.self)
                + certificate
        case .encryptedKey:
            let key = try OpenSSL.run("pkey", "-in", good, "-aes256", "-passout", "pass:secret")
            return String(decoding: key, as: UTF8.self) + certificate
        case .truncated: return String(text.dropLast(100))
        }
    }

    private func readText(_ path: String) throws -> String {
        String(decoding: try readFile(path), as: UTF8.self)
    }

    @Test func `what is not a regular file is refused, not waited for`() throws {
        try check(mkdir(path, 0o700), "mkdir")
        #expect(throws: TLSError.file(path: path, reason: "not a regular file")) { try loadOrCreate() }
        let pipe = directory.file("pipe")
        try check(mkfifo(pipe, 0o600), "mkfifo")
        #expect(throws: TLSError.file(path: pipe, reason: "not a regular file")) {
            try Identity.loadOrCreate(path: pipe, commonName: "adit")
        }
    }

    @Test func `a link to nowhere is reported`() throws {
        try check(symlink(directory.file("nowhere"), path), "symlink")
        #expect(throws: TLSError.file(path: path, reason: "neither there nor possible to make")) { try loadOrCreate() }
        #expect(try TemporaryDirectory.names(in: directory.path) == ["identity.pem"])
    }

    @Test func `a directory that cannot be made is named`() throws {
        let file = try directory.write("", to: "file")
        #expect(throws: TLSError.file(path: "\(file)/identity.pem", reason: "Not a directory")) {
            try Identity.loadOrCreate(path: "\(file)/identity.pem", commonName: "adit")
        }
        let null = "/dev/null/state/identity.pem"
        #expect(throws: TLSError.file(path: null, reason: "Not a directory")) {
            try Identity.loadOrCreate(path: null, commonName: "adit")
        }
    }

    // MARK: - An operator's files

    @Test func `an operator's chain and key are loaded`() throws {
        let authority = try Authority(in: directory)
        let leaf = try authority.issue("leaf", names: "DNS:relay.example")
        let identity = try Identity.load(certificateFile: leaf.certificate, keyFile: leaf.key)
        #expect(try OpenSSL.fingerprint(of: leaf.certificate) == identity.fingerprint.description)
    }

    @Test func `a key that is not the certificate's is refused`() throws {
        let authority = try Authority(in: directory)
        let leaf = try authority.issue("leaf", names: "DNS:relay.example")
        let other = try authority.issue("other", names: "DNS:relay.example")
        let reason = "the private key does not belong to the certificate"
        #expect(throws: TLSError.file(path: other.key, reason: reason)) {
            try Identity.load(certificateFile: leaf.certificate, keyFile: other.key)
        }
    }

    @Test func `a missing or damaged file of an operator is named`() throws {
        let authority = try Authority(in: directory)
        let leaf = try authority.issue("leaf", names: "DNS:relay.example")
        let missing = directory.file("missing.pem")
        #expect(throws: TLSError.file(path: missing, reason: "No such file or directory")) {
            try Identity.load(certificateFile: missing, keyFile: leaf.key)
        }
        #expect(throws: TLSError.file(path: missing, reason: "No such file or directory")) {
            try Identity.load(certificateFile: leaf.certificate, keyFile: missing)
        }
        let certificate = try readText(leaf.certificate)
        let damaged = try directory.write(certificate + certificate.dropLast(60), to: "damaged.pem")
        #expect { try Identity.load(certificateFile: damaged, keyFile: leaf.key) } throws: { error in
            guard case .file(damaged, _) = error as? TLSError else { return false }
            return true
        }
    }
}

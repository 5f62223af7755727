import EndToEnd
import TLSEngine
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

private let alice = Fingerprint("SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!
private let bob = Fingerprint("SHA256:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!
private let carol = Fingerprint("SHA256:AgECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!
private let dave = Fingerprint("SHA256:AwECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!
private let nobody = Fingerprint("SHA256:BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!

@Suite struct KnownKeysTests {
    private let directory: Directory
    private let path: String
    private let keys: KnownKeys

    init() throws {
        directory = try Directory()
        path = directory.path + "/known_agents"
        keys = KnownKeys(path: path)
    }

    @Test func `a missing file knows nobody`() throws {
        #expect(try keys.lookup("office", alice) == .unknown)
        #expect(access(path, F_OK) != 0)
    }

    @Test func `what is remembered matches, and another key is a change`() throws {
        try keys.remember("office", alice)
        #expect(try keys.lookup("office", alice) == .matches)
        #expect(try keys.lookup("office", bob) == .changed(known: [.init(key: alice, line: 1)]))
        #expect(try keys.lookup("home", alice) == .unknown)
        #expect(try KnownKeys(path: path).lookup("office", alice) == .matches)
    }

    @Test func `remembering twice writes once`() throws {
        try keys.remember("office", alice)
        try keys.remember("office", alice)
        try keys.remember("home", bob)
        #expect(try read(path) == "office \(alice)\nhome \(bob)\n")
    }

    @Test func `a known name does not silently get another key`() throws {
        try keys.remember("office", alice)
        #expect(throws: KnownKeysError.changed(path: path, name: "office", known: [alice])) {
            try keys.remember("office", bob)
        }
        #expect(try read(path) == "office \(alice)\n")
    }

    @Test func `file and directory are the user's alone`() throws {
        let deep = directory.path + "/state/adit/known_agents"
        try KnownKeys(path: deep).remember("office", alice)
        #expect(try mode(deep) == 0o600)
        #expect(try mode(directory.path + "/state/adit") == 0o700)
        #expect(try mode(directory.path + "/state") == 0o700)
    }

    @Test func `comments, blanks and several keys of one name are allowed`() throws {
        try write(
            "# agents\n\n  \t\n  office\t\(alice)  \r\n# office is moving\noffice \(bob) the new one\n", to: path)
        #expect(try keys.lookup("office", alice) == .matches)
        #expect(try keys.lookup("office", bob) == .matches)
        #expect(
            try keys.lookup("office", carol)
                == .changed(known: [.init(key: alice, line: 4), .init(key: bob, line: 6)]))
    }

    @Test func `an edit is seen at once`() throws {
        try write("office \(alice)\n", to: path)
        #expect(try keys.lookup("office", bob) == .changed(known: [.init(key: alice, line: 1)]))
        try write("office \(bob)\n", to: path)
        #expect(try keys.lookup("office", bob) == .matches)
    }

    @Test func `a last line without a line feed is kept apart`() throws {
        try write("office \(alice)", to: path)
        try keys.remember("home", bob)
        #expect(try read(path) == "office \(alice)\nhome \(bob)\n")
    }

    @Test(arguments: ["Office", "offic", "office2", "office.", "*"])
    func `names match to the letter`(name: String) throws {
        try keys.remember("office", alice)
        #expect(try keys.lookup(name, alice) == .unknown)
    }

    @Test func `names that look the same are not`() throws {
        try keys.remember("caf\u{e9}", alice)
        #expect(try keys.lookup("cafe\u{301}", alice) == .unknown)
    }

    @Test(arguments: ["", "#office", "|office", "the office", "office\n", "a\tb", "a\0b", "a\u{7f}"])
    func `a name that no line can hold is refused`(name: String) throws {
        #expect(throws: KnownKeysError.name(name)) { try keys.remember(name, alice) }
        #expect(access(path, F_OK) != 0)
    }

    @Test(arguments: [
        ("office", "expected NAME FINGERPRINT"), ("\(alice)", "expected NAME FINGERPRINT"),
        ("office SHA256:short", "not a fingerprint"), ("\(alice) office", "not a fingerprint"),
        ("office \(alice)=", "not a fingerprint"), ("|HMAC-SHA1|AAAA|AAAA \(alice)", "not a hashed name"),
    ])
    func `a malformed line is named, whatever was asked`(line: String, reason: String) throws {
        try write("# first\n\n\(line)\nhome \(bob)\n", to: path)
        let expected = KnownKeysError.malformed(path: path, line: 3, reason: reason)
        #expect(throws: expected) { try keys.lookup("home", bob) }
        #expect(throws: expected) { try keys.remember("cabin", bob) }
    }

    @Test func `a hashed name is found, and cannot be read`() throws {
        let hashing = KnownKeys(path: path, hashesNames: true)
        try hashing.remember("office", alice)
        try hashing.remember("home", alice)
        try hashing.remember("office", alice)
        let lines = try read(path).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(Set(lines.map { $0.prefix { $0 != " " } }).count == 2)
        for line in lines {
            #expect(line.hasPrefix("|HMAC-SHA256|"))
            #expect(!line.contains("office") && !line.contains("home"))
        }
        // Whether the names that are added are hashed does not matter to those that are looked up.
        for keys in [keys, hashing] {
            #expect(try keys.lookup("home", alice) == .matches)
            #expect(try keys.lookup("office", bob) == .changed(known: [.init(key: alice, line: 1)]))
            #expect(try keys.lookup("offic", alice) == .unknown)
        }
    }

    @Test func `plain and hashed names stand side by side`() throws {
        try keys.remember("office", alice)
        try KnownKeys(path: path, hashesNames: true).remember("home", bob)
        #expect(try keys.lookup("office", alice) == .matches)
        #expect(try keys.lookup("home", bob) == .matches)
    }

    @Test func `a key that follows takes the place of the old one, and nothing else changes`() throws {
        let hashed = try HashedName(hashing: "office")
        try write(
            "# all\noffice\t\(alice) moved\nhome \(alice)\n\(hashed) \(bob)\r\noffice \(carol)", to: path)
        try keys.replace("office", [alice, bob], by: dave)
        #expect(
            try read(path)
                == "# all\noffice\t\(dave) moved\nhome \(alice)\n\(hashed) \(dave)\r\noffice \(carol)")
        #expect(try keys.lookup("office", dave) == .matches)
        guard case .changed = try keys.lookup("office", alice) else {
            Issue.record("the old key is still trusted")
            return
        }
    }

    @Test func `without a file there is nothing to replace`() throws {
        try keys.replace("office", [alice], by: bob)
        #expect(access(path, F_OK) != 0)
    }

    @Test func `text that is not UTF-8 is named`() throws {
        try write(bytes: Array("home \(bob)\n".utf8) + [0xff, 0x0a], to: path)
        #expect(throws: KnownKeysError.malformed(path: path, line: 2, reason: "not UTF-8")) {
            try keys.lookup("home", bob)
        }
    }

    @Test func `what is not a regular file is refused, not waited for`() throws {
        #expect(mkfifo(path, 0o600) == 0)
        #expect(throws: KnownKeysError.file(path: path, reason: "not a regular file")) { try keys.lookup("home", bob) }
        #expect(throws: KnownKeysError.file(path: path, reason: "not a regular file")) {
            try keys.remember("home", bob)
        }
    }

    @Test func `a path below a file is reported`() throws {
        try write("", to: path)
        let below = KnownKeys(path: path + "/known")
        let expected = KnownKeysError.file(path: path + "/known", reason: "Not a directory")
        #expect(throws: expected) { try below.lookup("home", bob) }
        #expect(throws: expected) { try below.remember("home", bob) }
    }

    @Test func `a full disk leaves no half a line`() async {
        // In a process of its own: the limit on the size of files is the whole process's.
        await #expect(processExitsWith: .success) {
            let directory = try Directory()
            let path = directory.path + "/known_agents"
            let keys = KnownKeys(path: path)
            try keys.remember("office", alice)
            let before = try read(path)
            signal(SIGXFSZ, SIG_IGN)
            var limit = rlimit(rlim_cur: rlim_t(before.utf8.count + 10), rlim_max: rlim_t(1 << 30))
            try #require(setrlimit(fileSizeLimit, &limit) == 0)
            #expect(throws: KnownKeysError.file(path: path, reason: "could not be written to its end")) {
                try keys.remember("home", bob)
            }
            #expect(try read(path) == before)
        }
    }

    @Test func `writers at the same time lose no line and repeat none`() async throws {
        let path = path
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<64 {
                group.addTask { try KnownKeys(path: path).remember("agent-\(index % 16)", alice) }
            }
            try await group.waitForAll()
        }
        let lines = try read(path).split(separator: "\n")
        #expect(lines.count == 16)
        #expect(Set(lines) == Set((0..<16).map { "agent-\($0) \(alice)" }))
    }

    @Test func `of two keys for one new name only one is remembered`() async throws {
        let path = path
        for round in 0..<20 {
            let winners = await withTaskGroup(of: Bool.self) { group in
                for key in [alice, bob] {
                    group.addTask { (try? KnownKeys(path: path).remember("agent-\(round)", key)) != nil }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(winners == 1)
        }
    }
}

@Suite struct AuthorizedClientsTests {
    private let directory: Directory
    private let path: String

    init() throws {
        directory = try Directory()
        path = directory.path + "/authorized_clients"
    }

    @Test func `those listed are admitted, with or without a name or a comment`() throws {
        let hashed = try HashedName(hashing: "dave")
        try write(
            "# laptops\n\n\(alice)\n  \(bob) bob's laptop # the old one\r\ncarol \(carol) hers\n\(hashed) \(dave)\n",
            to: path)
        let clients = try AuthorizedClients(path: path)
        for key in [alice, bob, carol, dave] { #expect(clients.contains(key)) }
        #expect(!clients.contains(nobody))
        #expect(clients.failure == nil)
    }

    @Test func `an empty list admits nobody`() throws {
        try write("# nobody yet\n", to: path)
        #expect(!(try AuthorizedClients(path: path)).contains(alice))
    }

    @Test func `an edit takes effect at once, even one of the same size`() throws {
        try write("\(alice)\n", to: path)
        let clients = try AuthorizedClients(path: path)
        for round in 0..<200 {
            let (now, before) = round % 2 == 0 ? (bob, alice) : (alice, bob)
            try write("\(now)\n", to: path)
            #expect(clients.contains(now))
            #expect(!clients.contains(before))
        }
    }

    @Test func `an old file that is replaced is read anew`() throws {
        try write("\(alice)\n", to: path)
        let clients = try AuthorizedClients(path: path)
        #expect(clients.contains(alice))
        try write("\(bob)\n", to: path + ".new")
        #expect(rename(path + ".new", path) == 0)
        #expect(clients.contains(bob))
        #expect(!clients.contains(alice))
    }

    @Test func `a file that is gone or broken admits nobody until it is back`() throws {
        try write("\(alice)\n", to: path)
        let clients = try AuthorizedClients(path: path)
        #expect(clients.contains(alice))

        #expect(unlink(path) == 0)
        #expect(!clients.contains(alice))
        #expect(clients.failure == .file(path: path, reason: "does not exist"))

        try write("\(alice)\nSHA256:oops\n", to: path)
        #expect(!clients.contains(alice))
        #expect(clients.failure == .malformed(path: path, line: 2, reason: "not a fingerprint"))

        try write("\(alice)\n", to: path)
        #expect(clients.contains(alice))
        #expect(clients.failure == nil)
    }

    @Test func `a mistake is found at start`() throws {
        #expect(throws: KnownKeysError.file(path: path, reason: "does not exist")) { try AuthorizedClients(path: path) }
        try write("\(alice)\nalice laptop \(alice)\n", to: path)
        #expect(throws: KnownKeysError.malformed(path: path, line: 2, reason: "not a fingerprint")) {
            try AuthorizedClients(path: path)
        }
    }
}

// MARK: - Files

#if canImport(Glibc)
private let fileSizeLimit = __rlimit_resource_t(RLIMIT_FSIZE.rawValue)
#else
private let fileSizeLimit = RLIMIT_FSIZE
#endif

/// A directory that is gone, with all that is in it, when the test ends.
final class Directory {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var name = Array("\(base)/adit-test-XXXXXX".utf8CString)
        try #require(mkdtemp(&name) != nil)
        path = String(decoding: name.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        delete(path)
    }
}

private func delete(_ path: String) {
    if let directory = opendir(path) {
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { delete("\(path)/\(name)") }
        }
    }
    remove(path)
}

private func write(_ text: String, to path: String) throws {
    try write(bytes: Array(text.utf8), to: path)
}

private func write(bytes: [UInt8], to path: String) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    try #require(write(descriptor, bytes, bytes.count) == bytes.count)
}

private func read(_ path: String) throws -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    try #require(descriptor >= 0)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    let count = read(descriptor, &bytes, bytes.count)
    try #require(count >= 0)
    return String(decoding: bytes[..<count], as: UTF8.self)
}

private func mode(_ path: String) throws -> mode_t {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return status.st_mode & 0o7777
}

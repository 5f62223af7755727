import TLSEngine
import Testing

@Suite struct HashedNameTests {
    @Test func `openssl computes the same hash`() throws {
        let name = "relay.example.com:4443/private-db"
        let parts = try HashedName(hashing: name).description.split(separator: "|")
        #expect(parts.count == 3 && parts[0] == "HMAC-SHA256")
        let salt = try OpenSSL.run("base64", "-d", "-A", input: Array("\(parts[1])=".utf8))
        let key = salt.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        let hash = try OpenSSL.run(
            "dgst", "-sha256", "-mac", "hmac", "-macopt", "hexkey:\(key)", "-binary", input: Array(name.utf8))
        let text = String(decoding: try OpenSSL.run("base64", "-A", input: hash), as: UTF8.self)
        #expect(text.prefix { $0 != "=" } == parts[2])
    }

    @Test func `a name is recognised by its hash, and no other is`() throws {
        let hashed = try HashedName(hashing: "office")
        let read = try #require(HashedName(hashed.description))
        #expect(read == hashed)
        #expect(read.stands(for: "office"))
        for other in ["Office", "offic", "office ", ""] { #expect(!read.stands(for: other)) }
    }

    @Test func `each hash has a salt of its own`() throws {
        let made = try (0..<4).map { _ in try HashedName(hashing: "office").description }
        #expect(Set(made).count == made.count)
    }

    @Test(arguments: [
        "", "|", "|1|c2FsdA|aGFzaA", "|HMAC-SHA256|", "|HMAC-SHA256|AAAA|AAAA",
        "|HMAC-SHA256|\(String(repeating: "A", count: 43))", "HMAC-SHA256|A|A",
        "|HMAC-SHA256|\(String(repeating: "A", count: 43))|\(String(repeating: "A", count: 44))",
        "|HMAC-SHA256|\(String(repeating: "A", count: 43))|\(String(repeating: "A", count: 43))|",
        "|HMAC-SHA256|\(String(repeating: "A", count: 42))B|\(String(repeating: "A", count: 43))",
    ])
    func `only the one spelling is read`(text: String) {
        #expect(HashedName(text) == nil)
    }
}

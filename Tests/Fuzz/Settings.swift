import TLSEngine
import Tokens
import Wire

@testable import Relay
@testable import adit

/// A configuration file, which says what a second reading says; each value of it as an option of every kind, and names and
/// patterns: what is read is written the same again, and a pattern matches what the definition says. The same file as one of
/// secrets, and of revocations.
func settings(_ input: Input) {
    var input = input
    let pattern = String(decoding: input.line(), as: UTF8.self)
    matches(pattern, String(decoding: input.rest.prefix(64), as: UTF8.self))
    write(input.rest, to: "settings")
    let file = try? EnvironmentFile(path: "settings")
    let reference = String(validating: input.rest, as: UTF8.self).flatMap { text in
        SettingsReference(text, prefix: "ADIT_") { name in
            OptionName.allCases.contains { $0 != .config && $0.variable == name }
        }.variables
    }
    expect(
        file?.variables == reference, "\(String(describing: file)) is read, \(String(describing: reference)) written")
    for (name, value) in file?.variables ?? [:] {
        expect(!name.contains("\n") && !value.contains("\n"), "a setting of two lines: \(name)")
        judge(value)
    }
    judge(pattern)
    judgeTrust(Array(input.rest))
}

/// A relay's secrets and revocations.
private func judgeTrust(_ file: [UInt8]) {
    if let ring = try? Keyring(reading: file, allowShort: true) {
        expect(!ring.keys.isEmpty, "a ring without a key")
        expect(Set(ring.keys.map(\.id)).count == ring.keys.count, "two keys of one name")
        let text = String(decoding: file, as: UTF8.self)
        for id in ring.keys.compactMap(\.id) { expect(text.contains("kid=\(id)"), "a key by the name of \(id)") }
    }
    guard let revocations = try? Revocations(reading: file) else { return }
    for line in file.split(separator: 0x0a) where line.allSatisfy({ $0 < 0x80 }) {
        let fields = line.split { [0x20, 0x09, 0x0d].contains($0) }.prefix { $0.first != UInt8(ascii: "#") }
        expect(fields.count <= 1, "a line of \(fields.count) token IDs")
        guard let field = fields.first else { continue }
        let id = String(decoding: field, as: UTF8.self)
        let claims = Claims(subject: "laptop", issuedAt: 0, expiresAt: 1, tokenID: id)
        expect(revocations.contains(claims), "\(id.debugDescription) is not revoked")
    }
}

private func judge(_ text: String) {
    if let address = HostPort(text) {
        expect(HostPort(address.description) == address, "\(address) is not what it was")
        // Ports may have leading zeros.
        expect(host(of: address.description) == host(of: text), "\(text.debugDescription) is read as \(address)")
        expect((1...255).contains(address.host.utf8.count), "a host of \(address.host.utf8.count) bytes")
        expect(!address.host.utf8.contains { $0 <= 0x20 || $0 >= 0x7f }, "a host of foreign characters")
    }
    if let string = ConnectionString(text) {
        expect(ConnectionString(string.description) == string, "\(string) is not what it was")
        expect(string.relay.port > 0 && !string.description.contains(" "), "\(string) cannot be dialed")
    }
    if let id = AgentID(text) { expect(id.description == text, "\(id) is not what it was") }
    expect(Lifetime(text)?.seconds == secondsReference(text), "\(text.debugDescription) is not a duration")
    if let key = Fingerprint(text) { expect(key.description == text, "\(key) is not what it was") }
    if let target = ValueFormat.target.parse(text) {
        expect(target.port > 0, "a target without a port")
        let host = target.host.lowercased()
        expect(
            host == "localhost" || host.hasPrefix("127.")
                || host.contains(":") && host.allSatisfy { "0:.1".contains($0) },
            "a target elsewhere: \(target)")
    }
    if let ports = ValueFormat.portRange.parse(text) {
        expect(ports.lowerBound > 0, "ports from 0")
        let ends = text.split(separator: "-").map { Int($0) }
        expect(ends == [Int(ports.lowerBound), Int(ports.upperBound)], "\(text) is \(ports)")
    }
    if let subject = ValueFormat.name.parse(text) { expect(subject.isPrintable, "a subject that is not printable") }
    _ = ValueFormat.agentPattern.parse(text)
    if let answer = ValueFormat.boolean.parse(text) {
        expect(
            (answer ? ["true", "yes", "1"] : ["false", "no", "0"]).contains(text.lowercased()), "\(text) is \(answer)")
    }
    expect(text.printable.isPrintable, "\(text.debugDescription) cannot be made printable")
    expect(Printable(text).description.unicodeScalars.count <= 500, "Printable is too long")
    expect(!jsonLine([(text, text)]).contains("\n"), "a log line of two lines")
}

private func host(of address: String) -> Substring {
    address[..<(address.lastIndex(of: ":") ?? address.endIndex)]
}

/// A glob against its definition, solved the slow way.
private func matches(_ pattern: String, _ text: String) {
    let (pattern, text) = (String(decoding: pattern.utf8.prefix(64), as: UTF8.self), text)
    let bytes = Array(text.utf8)
    // Whether the pattern so far matches the first n bytes.
    var reached = [true] + Array(repeating: false, count: bytes.count)
    for character in pattern.utf8 {
        var next = Array(repeating: false, count: reached.count)
        if character == UInt8(ascii: "*") {
            var any = false
            for place in reached.indices {
                any = any || reached[place]
                next[place] = any
            }
        } else {
            for place in bytes.indices where reached[place] && bytes[place] == character { next[place + 1] = true }
        }
        reached = next
    }
    expect(
        Glob(pattern).matches(text) == reached[bytes.count], "\(pattern.debugDescription) on \(text.debugDescription)")
}

import TLSEngine
import Wire

@testable import Relay
@testable import adit

/// A configuration file, each value of it as an option of every kind, and names and patterns: what is read is written
/// the same again, and a pattern matches what the definition says.
func settings(_ input: Input) {
    var input = input
    let pattern = String(decoding: input.line(), as: UTF8.self)
    matches(pattern, String(decoding: input.rest.prefix(64), as: UTF8.self))
    write(input.rest, to: "settings")
    if let file = try? EnvironmentFile(path: "settings") {
        for (name, value) in file.variables {
            expect(!name.contains("\n") && !value.contains("\n"), "a setting of two lines: \(name)")
            judge(value)
        }
    }
    judge(pattern)
}

private func judge(_ text: String) {
    if let address = HostPort(text) {
        expect(HostPort(address.description) == address, "\(address) is not what it was")
        expect((1...255).contains(address.host.utf8.count), "a host of \(address.host.utf8.count) bytes")
        expect(!address.host.utf8.contains { $0 <= 0x20 || $0 >= 0x7f }, "a host of foreign characters")
    }
    if let id = AgentID(text) { expect(id.description == text, "\(id) is not what it was") }
    if let lifetime = Lifetime(text) {
        expect((1...Lifetime.maximumSeconds).contains(lifetime.seconds), "a lifetime of \(lifetime.seconds) s")
    }
    if let key = Fingerprint(text) { expect(key.description == text, "\(key) is not what it was") }
    if let target = ValueFormat.target.parse(text) { expect(target.port > 0, "a target without a port") }
    if let ports = ValueFormat.portRange.parse(text) { expect(ports.lowerBound > 0, "ports from 0") }
    if let subject = ValueFormat.name.parse(text) { expect(subject.isPrintable, "a subject that is not printable") }
    _ = ValueFormat.agentPattern.parse(text)
    _ = ValueFormat.boolean.parse(text)
    expect(text.printable.isPrintable, "\(text.debugDescription) cannot be made printable")
    expect(Printable(text).description.unicodeScalars.count <= 500, "Printable is too long")
    expect(!jsonLine([(text, text)]).contains("\n"), "a log line of two lines")
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

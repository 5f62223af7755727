import EndToEnd
import TLSEngine

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Files of known keys and of authorized clients: the first line of the input is a name or a fingerprint to ask for, the
/// rest is the file. It says what the reference reads in it; what is remembered and replaced changes that and nothing else.
func keys(_ input: Input) {
    var input = input
    let asked = String(decoding: input.line(), as: UTF8.self)
    if let key = Fingerprint(asked) { expect(key.description == asked, "a fingerprint of two spellings: \(asked)") }
    let file = Array(input.rest)

    write(input.rest, to: "keys")
    let clients = KeyFileReference(file, isNameRequired: false)
    let admitted = try? AuthorizedClients(path: "keys")
    expect((admitted == nil) == (clients.lines == nil), "a file of clients is taken for what it is not")
    for key in [ours, other] + (clients.lines ?? []).map(\.key) {
        let isListed = clients.lines?.contains { $0.key == key }
        expect(admitted?.contains(key) == isListed, "\(key) is admitted, and not in the file, or the other way round")
    }

    judge(asked, file)
    remember(asked, file)
    replace(asked, file)
}

/// Each name of the file, that which is asked for, and one that hardly ever is there.
private func judge(_ asked: String, _ file: [UInt8]) {
    let reference = KeyFileReference(file, isNameRequired: true)
    let names = (reference.lines ?? []).compactMap { $0.name.map { String(decoding: $0, as: UTF8.self) } }
    for name in [asked, bystander] + names.prefix(8) {
        for key in [ours, other] + (reference.lines ?? []).prefix(8).map(\.key) {
            expect(
                lookup(name, key) == expectation(name, key, reference),
                "\(name.debugDescription) with \(key) is misread")
        }
    }
}

/// Nil for a file that cannot be read.
private func lookup(_ name: String, _ key: Fingerprint) -> KnownKeys.Lookup? {
    try? KnownKeys(path: "keys").lookup(name, key)
}

private func expectation(_ name: String, _ key: Fingerprint, _ file: KeyFileReference) -> KnownKeys.Lookup? {
    guard file.lines != nil else { return nil }
    let lines = file.lines(of: name)
    if lines.isEmpty { return .unknown }
    if lines.contains(where: { $0.key == key }) { return .matches }
    return .changed(known: lines.map { KnownKeys.Entry(key: $0.key, line: $0.number) })
}

private func remember(_ name: String, _ file: [UInt8]) {
    let before = lookup(name, ours)
    let hasRemembered = (try? KnownKeys(path: "keys").remember(name, ours)) != nil
    let isName = ![nil, 0x23, 0x7c].contains(name.utf8.first) && !name.utf8.contains { $0 <= 0x20 || $0 == 0x7f }
    expect(
        hasRemembered == (isName && (before == .unknown || before == .matches)), "remembering \(name.debugDescription)")
    var expected = file
    if hasRemembered, before == .unknown {
        if let last = file.last, last != 0x0a { expected.append(0x0a) }
        expected += Array("\(name) \(ours)\n".utf8)
    }
    expect(read("keys") == expected, "\(name.debugDescription) was not put at the end of the file")
    expect(!hasRemembered || lookup(name, ours) == .matches, "\(name.debugDescription) is forgotten")
}

/// A key of the name by `other`, where it has one.
private func replace(_ name: String, _ file: [UInt8]) {
    file.withUnsafeBytes { write($0, to: "keys") }
    let lines = KeyFileReference(file, isNameRequired: true).lines(of: name)
    guard let old = lines.first?.key else { return }
    guard (try? KnownKeys(path: "keys").replace(name, [old], by: other)) != nil else {
        fail("\(name.debugDescription) keeps its key")
    }
    let expected = lines.map { ($0.number, $0.key == old ? other : $0.key) }
    let after = read("keys")
    let found = KeyFileReference(after, isNameRequired: true).lines(of: name).map { ($0.number, $0.key) }
    expect(found.elementsEqual(expected, by: ==), "the keys of \(name.debugDescription) are others")
    let changed = zip(after, file).count { $0 != $1 }
    expect(after.count == file.count && changed <= 43 * lines.count, "more than the keys has changed")
}

private let bystander = "relay.example:4443"
private let ours = fingerprint("SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
private let other = fingerprint("SHA256:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek")

private func fingerprint(_ text: String) -> Fingerprint {
    guard let fingerprint = Fingerprint(text) else { fail("no fingerprint: \(text)") }
    return fingerprint
}

/// Replaces the contents of a file of the working directory, which deploy/fuzz makes for each run.
func write(_ bytes: UnsafeRawBufferPointer, to path: String) {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { fail("\(path): error \(errno)") }
    defer { close(descriptor) }
    var rest = bytes
    while !rest.isEmpty {
        let count = systemWrite(descriptor, rest.baseAddress, rest.count)
        guard count > 0 else { fail("\(path): error \(errno)") }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
    }
}

private func read(_ path: String) -> [UInt8] {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 64 * 1024)
    let count = read(descriptor, &bytes, bytes.count)
    guard count >= 0 else { fail("\(path): error \(errno)") }
    return Array(bytes.prefix(count))
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}

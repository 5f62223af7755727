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
/// rest is the file. What is remembered is found again, and nothing else is found differently for it.
func keys(_ input: Input) {
    var input = input
    let asked = String(decoding: input.line(), as: UTF8.self)
    if let key = Fingerprint(asked) { expect(key.description == asked, "a fingerprint of two spellings: \(asked)") }
    write(input.rest, to: "keys")

    if let clients = try? AuthorizedClients(path: "keys") {
        let text = String(decoding: input.rest, as: UTF8.self)
        for key in [ours, other] where clients.contains(key) {
            expect(text.contains(key.description), "\(key) is admitted, and not in the file")
        }
    }

    let known = KnownKeys(path: "keys")
    let before = try? known.lookup(bystander, other)
    do throws(KnownKeysError) {
        try known.remember(asked, ours)
    } catch {
        // What could not be remembered is not known, unless with another key.
        if case .changed = error { return }
        expect((try? known.lookup(asked, ours)) != .matches, "\(asked.debugDescription) is known all the same")
        return
    }
    expect((try? known.lookup(asked, ours)) == .matches, "\(asked.debugDescription) is forgotten")
    if case .changed = try? known.lookup(asked, other) {} else { fail("another key for \(asked.debugDescription)") }
    if asked != bystander {
        expect((try? known.lookup(bystander, other)) == before, "\(asked.debugDescription) changed what else is known")
    }
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

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}

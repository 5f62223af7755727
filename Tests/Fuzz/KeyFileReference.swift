import TLSEngine

/// A file of keys read once more, from what the documentation says: lines of `[NAME] KEY [COMMENT]`, fields between blanks.
struct KeyFileReference {
    struct Line {
        let number: Int
        /// As it stands there.
        let name: [UInt8]?
        let key: Fingerprint
    }

    /// Nil for a file with a line that is not of the form.
    let lines: [Line]?

    init(_ bytes: [UInt8], isNameRequired: Bool) {
        var lines: [Line] = []
        var isWrong = false
        var number = 1
        var start = 0
        for end in bytes.indices + [bytes.count] where end == bytes.count || bytes[end] == 0x0a {
            switch Self.read(Array(bytes[start..<end]), number, isNameRequired) {
            case .nothing: break
            case .wrong: isWrong = true
            case .line(let line): lines.append(line)
            }
            start = end + 1
            number += 1
        }
        self.lines = isWrong ? nil : lines
    }

    private enum Reading {
        case nothing
        case wrong
        case line(Line)
    }

    private static func read(_ line: [UInt8], _ number: Int, _ isNameRequired: Bool) -> Reading {
        if String(validating: line, as: UTF8.self) == nil { return .wrong }
        var fields: [[UInt8]] = [[]]
        for byte in line {
            if [0x20, 0x09, 0x0d].contains(byte) { fields.append([]) } else { fields[fields.count - 1].append(byte) }
        }
        fields.removeAll { $0.isEmpty }
        guard let first = fields.first, first[0] != UInt8(ascii: "#") else { return .nothing }
        if !isNameRequired, let key = fingerprint(first) { return .line(Line(number: number, name: nil, key: key)) }
        guard fields.count > 1, let key = fingerprint(fields[1]) else { return .wrong }
        let text = String(decoding: first, as: UTF8.self)
        if first[0] == UInt8(ascii: "|"), HashedName(text) == nil { return .wrong }
        return .line(Line(number: number, name: first, key: key))
    }

    private static func fingerprint(_ field: [UInt8]) -> Fingerprint? {
        Fingerprint(String(decoding: field, as: UTF8.self))
    }

    /// The keys that stand beside a name, and their lines.
    func lines(of name: String) -> [Line] {
        (lines ?? []).filter { line in
            guard let written = line.name else { return false }
            guard written[0] == UInt8(ascii: "|") else { return written == Array(name.utf8) }
            return HashedName(String(decoding: written, as: UTF8.self))?.stands(for: name) ?? false
        }
    }
}

/// What a configuration file says, read once more: `NAME=VALUE` a line, comments, quotes; see docs of `--config`.
struct SettingsReference {
    /// Nil for a file that must be refused.
    let variables: [String: String]?

    /// `isKnown` tells which names of ours there are.
    init(_ text: String, prefix: String, isKnown: (String) -> Bool) {
        var variables: [String: String] = [:]
        var line: [Character] = []
        var isWrong = false
        for character in Array(text) + ["\n"] {
            guard character.isNewline else {
                line.append(character)
                continue
            }
            switch Self.read(line) {
            case .nothing: break
            case .wrong: isWrong = true
            case .setting(let name, let value):
                if variables[name] != nil || (name.hasPrefix(prefix) && !isKnown(name)) { isWrong = true }
                variables[name] = value
            }
            line = []
        }
        self.variables = isWrong ? nil : variables
    }

    private enum Reading {
        case nothing
        case wrong
        case setting(String, String)
    }

    private static func read(_ line: [Character]) -> Reading {
        let line = trimmed(line)
        guard let first = line.first, !["#", ";"].contains(first) else { return .nothing }
        let halves = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard halves.count == 2 else { return .wrong }
        var value = trimmed(Array(halves[1]))
        if let quote = value.first, ["\"", "'"].contains(quote) {
            value.removeFirst()
            guard value.popLast() == quote else { return .wrong }
        }
        return .setting(String(trimmed(Array(halves[0]))), String(value))
    }

    private static func trimmed(_ text: [Character]) -> [Character] {
        var text = text
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}

/// `1h30m` in seconds; nil for what is no duration of one second to ten years, each unit once at most and the greater first.
func secondsReference(_ text: String) -> Int64? {
    let units: [Character: Int64] = ["d": 86_400, "h": 3600, "m": 60, "s": 1]
    var total: Int64 = 0
    var largest = Int64.max
    var digits = ""
    for character in text {
        if ("0"..."9").contains(character) {
            digits.append(character)
            continue
        }
        guard let unit = units[character], unit < largest, digits.utf8.count <= 9, let count = Int64(digits) else {
            return nil
        }
        total += count * unit
        largest = unit
        digits = ""
    }
    return digits.isEmpty && (1...3650 * 86_400).contains(total) ? total : nil
}

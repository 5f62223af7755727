/// A configuration file: `ADIT_RELAY=relay.example:4443` a line, with the names that the environment uses. It is the
/// format of systemd's `EnvironmentFile=`, without escapes and continuation lines, so that one file serves both.
///
/// Blank lines and lines that begin with `#` or `;` are comments. A value may stand in single or double quotes. Names
/// of other programs pass.
struct EnvironmentFile {
    let variables: [String: String]

    /// - Throws: `.configuration`, naming file and line: what would be ignored silently is more likely a mistake.
    init(path: String) throws(Failure) {
        var variables: [String: String] = [:]
        let lines = try FileContents.text(of: path, what: "configuration file").split(
            omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (number, line) in zip(1..., lines) {
            guard let (name, value) = try Self.parse(line.trimmed, place: "\(path), line \(number)") else { continue }
            guard variables.updateValue(value, forKey: name) == nil else {
                throw .configuration("\(path), line \(number): \(name) is set for the second time")
            }
        }
        self.variables = variables
    }

    /// Nil for a comment.
    private static func parse(_ line: Substring, place: String) throws(Failure) -> (name: String, value: String)? {
        guard let first = line.first, first != "#", first != ";" else { return nil }
        guard let equals = line.firstIndex(of: "=") else {
            throw .configuration("\(place): expected NAME=VALUE, found no '='")
        }
        let name = String(line[..<equals].trimmed)
        if name.hasPrefix(OptionName.variablePrefix), !settable.contains(name) {
            throw .configuration("\(place): adit knows no setting named \(name)")
        }
        guard let value = unquoted(line[line.index(after: equals)...].trimmed) else {
            throw .configuration("\(place): the quote that begins the value of \(name) does not end it")
        }
        return (name, value)
    }

    /// A file cannot name itself or another one.
    private static let settable = Set(OptionName.allCases.filter { $0 != .config }.map(\.variable))

    /// Nil for a quote without its other half.
    private static func unquoted(_ value: Substring) -> String? {
        guard let quote = value.first, quote == "\"" || quote == "'" else { return String(value) }
        guard value.count >= 2, value.last == quote else { return nil }
        return String(value.dropFirst().dropLast())
    }
}

extension StringProtocol {
    /// Without white space at either end.
    var trimmed: SubSequence {
        drop(while: \.isWhitespace).trimmedAtEnd
    }
}

extension StringProtocol where SubSequence == Self {
    fileprivate var trimmedAtEnd: SubSequence {
        guard let end = lastIndex(where: { !$0.isWhitespace }) else { return self[startIndex..<startIndex] }
        return self[...end]
    }
}

import TestSupport
import Testing

/// A session at a shell as a file shows it: `$ command`, what it writes, `[exit N]`. Each command is run by a shell in
/// the transcript's own empty directory, which is also its HOME.
///
/// Lines for standard error begin with `! `. `…` stands for anything within a line, and alone on a line for any lines.
/// `[exit 0]` may be left out. Lines that begin with `#` explain.
struct Transcript: CustomTestStringConvertible, Sendable {
    struct Step {
        let line: Int
        let command: String
        var output: [String] = []
        var errors: [String] = []
        var status: Int32 = 0
    }

    let name: String
    let steps: [Step]
    var testDescription: String { name }

    /// - Throws: `ProcessError` for a file that cannot be read or understood.
    init(path: String) throws {
        name = path.split(separator: "/").last.map(String.init) ?? path
        var steps: [Step] = []
        for (number, line) in try zip(1..., text(of: path).split(separator: "\n", omittingEmptySubsequences: false)) {
            if line.hasPrefix("$ ") {
                steps.append(Step(line: number, command: String(line.dropFirst(2))))
            } else if line.hasPrefix("#") || line.isEmpty {
                continue
            } else if steps.isEmpty {
                throw ProcessError("\(path), line \(number): expected a command")
            } else if line.hasPrefix("[exit "), let status = Int32(line.dropFirst(6).dropLast()) {
                steps[steps.count - 1].status = status
            } else if line.hasPrefix("! ") {
                steps[steps.count - 1].errors.append(String(line.dropFirst(2)))
            } else {
                steps[steps.count - 1].output.append(String(line))
            }
        }
        self.steps = steps
    }

    /// Runs the session and says what was not as the file has it.
    func differences() throws -> [String] {
        let directory = try TemporaryDirectory()
        let binary = try aditBinary()
        let environment = [
            "HOME": directory.path, "LC_ALL": "C",
            "PATH": binary.dropLast("/adit".count) + ":/usr/bin:/bin",
        ]
        var differences: [String] = []
        for step in steps {
            let (end, output, errors) = try Process.run(
                "/bin/sh", ["-c", step.command], environment: environment, directory: directory.path)
            let actual = (Self.lines(output), Self.lines(errors))
            if end != .exited(step.status) || !Self.match(actual.0, step.output) || !Self.match(actual.1, step.errors) {
                let shown = actual.0 + actual.1.map { "! \($0)" } + ["[\(end)]"]
                differences.append("\(name), line \(step.line): $ \(step.command)\n" + shown.joined(separator: "\n"))
            }
        }
        return differences
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init).filter { !$0.isEmpty }
    }

    private static func match(_ actual: [String], _ expected: [String]) -> Bool {
        matches(actual[...], expected[...], wildcard: "…") {
            matches(Array($0)[...], Array($1)[...], wildcard: "…", ==)
        }
    }

    /// Whether `actual` is `pattern`, in which a wildcard stands for any run of elements.
    private static func matches<Element: Equatable>(
        _ actual: ArraySlice<Element>, _ pattern: ArraySlice<Element>, wildcard: Element,
        _ equal: (Element, Element) -> Bool
    ) -> Bool {
        guard let first = pattern.first else { return actual.isEmpty }
        if first == wildcard {
            return (actual.startIndex...actual.endIndex).contains { index in
                matches(actual[index...], pattern.dropFirst(), wildcard: wildcard, equal)
            }
        }
        guard let next = actual.first, equal(next, first) else { return false }
        return matches(actual.dropFirst(), pattern.dropFirst(), wildcard: wildcard, equal)
    }
}

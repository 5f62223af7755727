import Testing

/// Docs/THREAT-MODEL.md names a test for every promise: `SUITE TEST`, or the test alone where the suite has no sentence's
/// name.
@Suite struct ThreatModelTests {
    /// The tables' rows that begin with a number; their last column names tests.
    private func promises() throws -> [(row: Substring, tests: [String])] {
        try Repository.file("Docs/THREAT-MODEL.md").text.split(separator: "\n")
            .filter { $0.contains(/^\| [0-9]+ \|/) }
            .map { row in
                let column = row.split(separator: "|").last { !$0.allSatisfy(\.isWhitespace) } ?? ""
                return (row, column.matches(of: /`([^`]+)`/).map { String($0.1) })
            }
    }

    /// Every way to name a test of a file.
    private func names(in source: String) -> Set<String> {
        let suites = source.matches(of: /struct `([^`]+)`/).map { String($0.1) + " " }
        let functions = source.matches(of: /func `([^`]+)`/).map { String($0.1) }
        let strings = source.matches(of: /@Test\(\s*"([^"]+)"/).map { String($0.1) }
        return Set((functions + strings).flatMap { test in [test] + suites.map { $0 + test } })
    }

    @Test func `every promise of the threat model names a test, and every test it names is there`() throws {
        let known = try Repository.files(under: "Tests", [".swift"]).reduce(into: Set<String>()) {
            $0.formUnion(names(in: $1.text))
        }
        let promises = try promises()
        #expect(promises.count >= 20)
        for (row, tests) in promises {
            #expect(!tests.isEmpty, "no test: \(row)")
            for test in tests where !known.contains(test) { Issue.record("no such test: \(test)") }
        }
    }
}

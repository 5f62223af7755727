import Testing

@Suite struct ImportTests {
    @Test func `every source imports what the table allows its module, and nothing else`() throws {
        for module in try Repository.modules() {
            #expect(House.modules.keys.contains(module), "Sources/\(module) is not in the table")
            for file in try Repository.files(under: "Sources/\(module)", [".swift"]) {
                for violation in House.violations(in: file.text, file: file.path, module: module) {
                    Issue.record("\(violation)")
                }
            }
        }
    }

    @Test func `each C library has one importer`() throws {
        for (library, importer) in [("COpenSSL", "TLSEngine"), ("CJWT", "Tokens"), ("CSandbox", "adit")] {
            var importers: Set<String> = []
            for module in try Repository.modules() {
                let files = try Repository.files(under: "Sources/\(module)", [".swift"])
                if files.contains(where: { imports(in: $0.text).contains { $0.module == library } }) {
                    importers.insert(module)
                }
            }
            #expect(importers == [importer], "\(library)")
        }
    }

    @Test func `the relay has no way to end-to-end keys, in the table and in the package`() throws {
        #expect(!House.reach(from: "Relay", in: House.modules).contains("EndToEnd"))
        let package = try packageTable()
        #expect(package["Relay"]?.contains("Transport") == true)
        #expect(!House.reach(from: "Relay", in: package).contains("EndToEnd"))
        #expect(House.reach(from: "Agent", in: package).contains("EndToEnd"))
    }

    @Test func `the package links no module of ours that the table does not allow`() throws {
        let package = try packageTable()
        for module in try Repository.modules() {
            let linked = try #require(package[module], "Package.swift has no target \(module)")
            let excess = linked.subtracting(House.modules[module, default: []])
            #expect(excess.isEmpty, "\(module) links \(excess.sorted())")
        }
    }

    @Test func `arrows point down only`() {
        for module in House.modules.keys {
            #expect(!House.reach(from: module, in: House.modules).contains(module), "\(module) is in a circle")
        }
    }

    @Test func `no source file is longer than 600 lines`() throws {
        let files =
            try Repository.files(under: "Sources", [".swift", ".c", ".h"])
            + Repository.files(under: "Tests", [".swift"])
        #expect(files.contains { $0.path.hasSuffix("ImportTests.swift") })
        for file in files {
            let lines = file.text.split(separator: "\n", omittingEmptySubsequences: false).count
            #expect(lines <= 601, "\(file.path) has \(lines - 1) lines")
        }
    }

    /// The targets of Package.swift with the targets of ours that each names.
    private func packageTable() throws -> [String: Set<String>] {
        let text = try Repository.file("Package.swift").text
        var table: [String: Set<String>] = [:]
        let names = /"([A-Za-z]+)"/
        let withDependencies =
            /\b(?:module\(|executableTarget\(\s*name:)\s*"([A-Za-z]+)",\s*(?:dependencies:\s*)?\[([^\]]*)\]/
        for match in text.matches(of: withDependencies) {
            let listed = match.2.matches(of: names).map { String($0.1) }
            #expect(table.updateValue(Set(listed).intersection(House.modules.keys), forKey: String(match.1)) == nil)
        }
        for match in text.matches(of: /\.(?:systemLibrary|target)\(\s*name:\s*"(C[A-Za-z]+)"/) {
            table[String(match.1)] = []
        }
        return table
    }
}

import Testing

/// The checker sees every spelling of an import. A checker that is blind passes everything.
@Suite struct CheckerTests {
    @Test(arguments: [
        "import EndToEnd",
        "    import EndToEnd",
        "\timport\tEndToEnd",
        "import /* why */ EndToEnd",
        "import\n    EndToEnd",
        "package import EndToEnd",
        "internal import EndToEnd",
        "fileprivate import EndToEnd",
        "@_implementationOnly import EndToEnd",
        "@preconcurrency import EndToEnd",
        "@preconcurrency\nimport EndToEnd",
        "@testable import EndToEnd",
        "@_spi(Keys) import EndToEnd",
        "@preconcurrency package import EndToEnd",
        "import struct EndToEnd.Session",
        "import class EndToEnd.Session",
        "import func EndToEnd.open",
        "import EndToEnd.Session",
        "import `EndToEnd`",
        "import Wire; import EndToEnd",
        "import Wire;import EndToEnd;import Mux",
        "/* import Mux /* nested */ */ import EndToEnd",
        "#if canImport(EndToEnd)\nimport EndToEnd\n#endif",
        "#if os(Linux)\n#else\n  import EndToEnd\n#endif",
        "let a = \"x\"; import EndToEnd",
        "let a = \"\\(b ? \"(\" : \")\")\"\nimport EndToEnd",
        "let a = #\"\\\"#\nimport EndToEnd",
        "let a = \"\"\"\n  \"quoted\"\n  \"\"\"\nimport EndToEnd",
        "let unclosed = /\"/\nimport EndToEnd",
        "import Wire\r\nimport EndToEnd\r\n",
    ])
    func `a planted import is found in every spelling`(source: String) {
        let violations = House.violations(in: source, file: "Relay.swift", module: "Relay")
        #expect(violations.count == 1)
        #expect(violations.allSatisfy { $0.hasSuffix(": Relay may not import EndToEnd") })
    }

    @Test(arguments: [
        "// import EndToEnd",
        "/* import EndToEnd */",
        "/* /* */ import EndToEnd */",
        "let a = \"import EndToEnd\"",
        "let a = \"\"\"\n    import EndToEnd\n    \"\"\"",
        "let a = #\"\"import EndToEnd\"\"#",
        "let a = \"\\(call(\"import EndToEnd\"))\"",
        "#if canImport(EndToEnd)\n#endif",
        "let important = EndToEnd()",
        "value.import EndToEnd",
        "let `import` = EndToEnd()",
        "call(import: EndToEnd())",
        "import Wire\nimport Transport",
    ])
    func `what is no import is not taken for one`(source: String) {
        #expect(House.violations(in: source, file: "Relay.swift", module: "Relay") == [])
    }

    @Test func `a violation names its file and line`() {
        let source = "/* two\n   lines */\nimport Wire\n\n@preconcurrency import NIOSSL\n"
        #expect(
            House.violations(in: source, file: "Sources/Mux/A.swift", module: "Mux") == [
                "Sources/Mux/A.swift:5: Mux may not import NIOSSL"
            ])
    }

    @Test(arguments: [
        ("Mux", "Synchronization"), ("Wire", "Glibc"), ("Wire", "Dispatch"), ("Transport", "FoundationEssentials"),
        ("EndToEnd", "NIOPosix"), ("Relay", "DequeModule"), ("Agent", "ArgumentParser"), ("Tokens", "Logging"),
        ("adit", "Foundation"), ("adit", "NIOCore"), ("Relay", "COpenSSL"), ("Relay", "TLSEngine"),
        ("Connect", "Tokens"),
        ("Wire", "Mux"), ("TLSEngine", "NIOCore"), ("Transport", "SomethingNew"),
    ])
    func `an import from outside the row is a violation`(module: String, imported: String) {
        #expect(House.violations(in: "import \(imported)", file: "A.swift", module: module).count == 1)
    }

    @Test func `Foundation may stand only where FoundationEssentials cannot`() {
        func violations(_ source: String) -> Int {
            House.violations(in: source, file: "A.swift", module: "Tokens").count
        }
        #expect(
            violations(
                "#if canImport(FoundationEssentials)\nimport FoundationEssentials\n#else\nimport Foundation\n#endif")
                == 0)
        #expect(violations("import FoundationEssentials") == 0)
        #expect(violations("import Foundation") == 1)
        #expect(violations("#if canImport(FoundationEssentials)\nimport Foundation\n#endif") == 1)
        #expect(violations("#if os(Linux)\n#else\nimport Foundation\n#endif") == 1)
        #expect(
            violations("#if canImport(FoundationEssentials)\n#elseif os(Linux)\n#else\nimport Foundation\n#endif") == 1)
        #expect(violations("#if canImport(FoundationEssentials)\n#else\n#endif\nimport Foundation") == 1)
    }

    @Test func `a module may not hand on what it imports`() {
        let source = "@_exported import TLSEngine"
        #expect(House.violations(in: source, file: "A.swift", module: "Transport").count == 1)
        #expect(
            House.violations(in: "@_exported\npublic import TLSEngine", file: "A.swift", module: "Transport").count == 1
        )
        #expect(House.violations(in: "@preconcurrency import TLSEngine", file: "A.swift", module: "Transport") == [])
    }

    @Test func `a module without a row may import nothing`() {
        #expect(House.violations(in: "import Wire", file: "A.swift", module: "Gateway").count == 1)
    }

    @Test func `reach follows every way`() {
        let table: [String: Set<String>] = ["a": ["b", "c"], "b": ["d"], "c": ["d"], "d": ["e"], "x": ["x"]]
        #expect(House.reach(from: "a", in: table) == ["b", "c", "d", "e"])
        #expect(House.reach(from: "e", in: table) == [])
        #expect(House.reach(from: "x", in: table) == ["x"])
    }
}

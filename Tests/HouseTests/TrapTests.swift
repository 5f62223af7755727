import Testing

@Suite struct TrapTests {
    @Test func `no source ends the process where it stands`() throws {
        for module in try Repository.modules() {
            for file in try Repository.files(under: "Sources/\(module)", [".swift"]) {
                for trap in Trap.found(in: file.text, file: file.path) { Issue.record("\(trap)") }
            }
        }
    }

    @Test(arguments: [
        "let a = b!", "let a = b!.c", "f(a!)", "a[0]!.b", "f()! + 1", "try! f()", "let a = b as! C", "var a: B!",
        "fatalError()", "precondition(a)", "preconditionFailure(\"a\")", "a.b!", "a?.b()!", "var a: [B]!",
        "let a: B<C>!\n",
    ])
    func `a planted trap is found`(source: String) {
        #expect(Trap.found(in: "\n" + source, file: "A.swift").count == 1)
        #expect(Trap.found(in: "\n" + source, file: "A.swift").allSatisfy { $0.hasPrefix("A.swift:2: ") })
    }

    @Test(arguments: [
        "if !a {}", "guard !a, !b else { return !c }", "a != b", "f(!a)", "a && !b", "[!a]", "while !a {}", "{ !$0 }",
        "let a = !b", "a ? !b : !c", "// a!", "\"a!\"", "case .a where !b: break", "x in !x",
    ])
    func `what is no trap is not taken for one`(source: String) {
        #expect(Trap.found(in: source, file: "A.swift") == [])
    }
}

/// One import declaration.
struct Import: Equatable {
    /// The top-level module: `A` in `import struct A.B`.
    var module: String
    /// From 1.
    var line: Int
    /// The names of the attributes before it, without `@`.
    var attributes: Set<String> = []
    /// Whether it stands in the `#else` of `#if canImport(FoundationEssentials)`.
    var isWithoutEssentials = false
}

/// The import declarations of a Swift file, wherever in the file they stand and however they are written.
func imports(in source: String) -> [Import] {
    var found: [Import] = []
    var branches: [(condition: String, isElse: Bool)] = []
    var attributes: Set<String> = []
    var tokens = tokens(of: source)[...]
    while let token = tokens.popFirst() {
        switch token.kind {
        case .directive(let text):
            if text.hasPrefix("#if") {
                branches.append((text.dropFirst(3).filter { !$0.isWhitespace }, false))
            } else if text.hasPrefix("#elseif") {
                // Only the plain form, `#if` and `#else`, is taken to say what cannot be imported.
                if !branches.isEmpty { branches[branches.count - 1] = ("", false) }
            } else if text.hasPrefix("#else") {
                if !branches.isEmpty { branches[branches.count - 1].isElse = true }
            } else {
                _ = branches.popLast()
            }
        case .attribute(let name):
            attributes.insert(name)
        case .word("import"):
            if let module = importedModule(&tokens) {
                found.append(
                    Import(
                        module: module, line: token.line, attributes: attributes,
                        isWithoutEssentials: branches.contains {
                            $0.condition == "canImport(FoundationEssentials)" && $0.isElse
                        }))
            }
            attributes = []
        case .word(let word):
            if !importAccess.contains(word) { attributes = [] }
        case .name: attributes = []
        // `(` and `)` may belong to an attribute: `@_spi(Name) import Module`.
        case .mark(let mark): if mark != "(" && mark != ")" { attributes = [] }
        }
    }
    return found
}

private let importAccess: Set = ["public", "package", "internal", "fileprivate", "private"]
private let importKinds: Set = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var", "actor"]

/// Takes the rest of an import declaration, up to the module's name.
private func importedModule(_ tokens: inout ArraySlice<Token>) -> String? {
    if case .word(let word)? = tokens.first?.kind, importKinds.contains(word) { tokens.removeFirst() }
    switch tokens.first?.kind {
    case .word(let module), .name(let module):
        tokens.removeFirst()
        return module
    default: return nil
    }
}

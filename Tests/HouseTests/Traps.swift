/// What ends the process where it stands. One process serves every tenant: no byte from a peer or a file may lead to one.
///
/// Arithmetic, subscripts and conversions trap as well, and are not found here: the fuzz targets look for them.
enum Trap {
    private static let functions: Set = ["fatalError", "precondition", "preconditionFailure", "assertionFailure"]
    /// What may stand before a `!` that negates.
    private static let beforeNegation: Set = [
        "return", "guard", "if", "while", "where", "case", "in", "else", "await", "repeat",
    ]

    /// The traps that are spelled out in a source file, one line for each, headed by file and line.
    static func found(in source: String, file: String) -> [String] {
        let all = tokens(of: source)
        return all.indices.compactMap { index in
            name(of: all, at: index).map { "\(file):\(all[index].line): \($0)" }
        }
    }

    private static func name(of tokens: [Token], at index: Int) -> String? {
        switch tokens[index].kind {
        case .word(let word): return functions.contains(word) ? word : nil
        case .mark("!"): break
        case .name, .attribute, .directive, .mark: return nil
        }
        // `!=` is no trap, and `x! = y` is not how anybody writes.
        if index + 1 < tokens.count, tokens[index + 1].kind == .mark("=") { return nil }
        guard index > 0 else { return nil }
        switch tokens[index - 1].kind {
        case .word(let word): return beforeNegation.contains(word) ? nil : "\(word)!"
        case .name(let name): return "\(name)!"
        case .mark(let mark): return ")]>".contains(mark) ? "\(mark)!" : nil
        case .attribute, .directive: return nil
        }
    }
}

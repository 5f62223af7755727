/// A piece of Swift source, as far as finding imports needs it told apart.
struct Token: Equatable {
    enum Kind: Equatable {
        /// An identifier or a keyword.
        case word(String)
        /// An identifier in backticks, or after a full stop: never a keyword.
        case name(String)
        /// `@name`, without the `@`.
        case attribute(String)
        /// `#if`, `#elseif`, `#else` or `#endif` with the rest of its line.
        case directive(String)
        case mark(Character)
    }

    var kind: Kind
    /// From 1.
    var line: Int
}

/// Takes Swift source apart, leaving out comments and string literals.
func tokens(of source: String) -> [Token] {
    var lexer = Lexer(source)
    return lexer.tokens()
}

private struct Lexer {
    private var rest: ArraySlice<Character>
    private var line = 1
    private var found: [Token] = []

    init(_ source: String) {
        rest = Array(source)[...]
    }

    mutating func tokens() -> [Token] {
        while let character = rest.first { token(at: character) }
        return found
    }

    private mutating func token(at character: Character) {
        if character.isWhitespace {
            advance()
        } else if starts("//") {
            while let next = rest.first, !next.isNewline { advance() }
        } else if starts("/*") {
            comment()
        } else if character == "\"" || (character == "#" && rest.first { $0 != "#" } == "\"") {
            string()
        } else if character == "#" {
            directive()
        } else if character == "@" {
            advance()
            found.append(Token(kind: .attribute(word()), line: line))
        } else if character == "`" {
            advance()
            let start = line
            var name = ""
            while let next = rest.first, next != "`", !next.isNewline { name.append(take(next)) }
            advance()
            found.append(Token(kind: .name(name), line: start))
        } else if isWordCharacter(character) {
            let isMember = found.last?.kind == .mark(".")
            let start = line
            let word = word()
            found.append(Token(kind: isMember ? .name(word) : .word(word), line: start))
        } else {
            found.append(Token(kind: .mark(character), line: line))
            advance()
        }
    }

    /// Comments nest.
    private mutating func comment() {
        var depth = 0
        repeat {
            if starts("/*") {
                depth += 1
                advance(2)
            } else if starts("*/") {
                depth -= 1
                advance(2)
            } else {
                advance()
            }
        } while depth > 0 && !rest.isEmpty
    }

    /// A literal of any form. One that does not close ends with its line, so that the next lines are not lost.
    private mutating func string() {
        let hashes = rest.prefix { $0 == "#" }
        advance(hashes.count)
        let quote = starts("\"\"\"") ? "\"\"\"" : "\""
        advance(quote.count)
        while let character = rest.first {
            if starts(quote + hashes) {
                advance(quote.count + hashes.count)
                return
            } else if starts("\\" + hashes) {
                advance(1 + hashes.count)
                if rest.first == "(" { interpolation() } else { advance() }
            } else if quote.count == 1 && character.isNewline {
                return
            } else {
                advance()
            }
        }
    }

    /// Code in a literal: no declaration, but it may hold literals and brackets of its own.
    private mutating func interpolation() {
        let before = found
        var depth = 0
        repeat {
            if rest.first == "(" { depth += 1 }
            if rest.first == ")" { depth -= 1 }
            if let character = rest.first { token(at: character) }
        } while depth > 0 && !rest.isEmpty
        found = before
    }

    private mutating func directive() {
        let start = line
        let text = String(rest.prefix { !$0.isNewline })
        let name = text.prefix { $0 == "#" || isWordCharacter($0) }
        guard ["#if", "#elseif", "#else", "#endif"].contains(name) else { return advance() }
        let comment = text.firstRange(of: "//")?.lowerBound ?? text.endIndex
        found.append(Token(kind: .directive(String(text[..<comment])), line: start))
        advance(text.count)
    }

    private mutating func word() -> String {
        var word = ""
        while let next = rest.first, isWordCharacter(next) { word.append(take(next)) }
        return word
    }

    private func isWordCharacter(_ character: Character) -> Bool {
        character == "_" || character == "$" || character.isLetter || character.isNumber
    }

    private func starts(_ text: some Sequence<Character>) -> Bool {
        rest.starts(with: Array(text))
    }

    private mutating func take(_ character: Character) -> Character {
        advance()
        return character
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count {
            guard let character = rest.popFirst() else { return }
            if character.isNewline { line += 1 }
        }
    }
}

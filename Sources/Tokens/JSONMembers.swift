#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The members of one JSON object, each value as the text that stood in the document.
///
/// Two parsers read a token: libjwt's, which decides on the signature, and this one. Whatever they could understand differently is refused here:
/// a name that occurs twice (JSONDecoder and libjwt do not keep the same one), a NUL (C strings end there), text that is not UTF-8, and depth.
/// Keeping the text also tells `1` from `1.0` and `1e0`, which JSONDecoder does not.
struct JSONMembers: Sendable {
    /// Far more than a token needs, far less than a recursive parser's stack holds.
    static let maximumDepth = 32

    private var values: [String: ArraySlice<UInt8>] = [:]

    init(_ document: [UInt8]) throws(TokenError) {
        guard !document.contains(0), String(validating: document, as: UTF8.self) != nil else { throw .malformed }
        var cursor = Cursor(rest: document[...])
        try cursor.take("{")
        if !cursor.skip("}") {
            repeat {
                guard let name = JSONText.string(try cursor.string()) else { throw .malformed }
                try cursor.take(":")
                guard values.updateValue(try cursor.value(), forKey: name) == nil else { throw .duplicateName }
            } while cursor.skip(",")
            try cursor.take("}")
        }
        // The cursor finds where a value ends, and leaves it to the decoder and to libjwt whether what lies between is JSON.
        guard cursor.isAtEnd, JSONText.isWellFormed(document) else { throw .malformed }
    }

    var count: Int { values.count }

    subscript(name: String) -> ArraySlice<UInt8>? { values[name] }
}

/// What the text of one JSON value says; nil where it says something else.
enum JSONText {
    static func string(_ text: ArraySlice<UInt8>) -> String? {
        let content = text.dropFirst().dropLast()
        if text.count >= 2, text.first == quote, text.last == quote, content.allSatisfy(isItself) {
            return String(decoding: content, as: UTF8.self)
        }
        return try? JSONDecoder().decode(String.self, from: Data(text))
    }

    static func strings(_ text: ArraySlice<UInt8>) -> [String]? {
        guard let elements = try? Cursor.elements(of: text) else { return nil }
        var strings: [String] = []
        for element in elements {
            guard let string = string(element) else { return nil }
            strings.append(string)
        }
        return strings
    }

    private static let quote = UInt8(ascii: "\"")

    /// ASCII that stands for itself between quotes (RFC 8259 §7). Nearly all text in tokens is of it, and a decoder for each string was most of
    /// what verifying a token cost.
    private static func isItself(_ byte: UInt8) -> Bool {
        (0x20...0x7E).contains(byte) && byte != quote && byte != UInt8(ascii: "\\")
    }

    /// Digits alone, as many as `Claims.latestTime` has: no sign, no fraction, no exponent, no leading zero.
    static func integer(_ text: ArraySlice<UInt8>) -> Int64? {
        guard (1...12).contains(text.count), text.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains),
            text.count == 1 || text.first != UInt8(ascii: "0")
        else { return nil }
        return Int64(String(decoding: text, as: UTF8.self))
    }

    static func isWellFormed(_ document: [UInt8]) -> Bool {
        (try? JSONDecoder().decode(Anything.self, from: Data(document))) != nil
    }

    private struct Anything: Decodable {
        init(from decoder: any Decoder) {}
    }
}

/// Walks over JSON text without recursion.
private struct Cursor {
    var rest: ArraySlice<UInt8>

    /// The elements of an array in a document that is well-formed.
    static func elements(of text: ArraySlice<UInt8>) throws(TokenError) -> [ArraySlice<UInt8>] {
        var cursor = Cursor(rest: text)
        var elements: [ArraySlice<UInt8>] = []
        try cursor.take("[")
        guard !cursor.skip("]") else { return elements }
        repeat { elements.append(try cursor.value()) } while cursor.skip(",")
        try cursor.take("]")
        return elements
    }

    var isAtEnd: Bool {
        mutating get {
            skipSpace()
            return rest.isEmpty
        }
    }

    mutating func skip(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func take(_ character: Unicode.Scalar) throws(TokenError) {
        guard skip(character) else { throw .malformed }
    }

    /// The next string with its quotes.
    mutating func string() throws(TokenError) -> ArraySlice<UInt8> {
        let start = rest
        try take("\"")
        let text = rest.startIndex
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "\""): return start[(text - 1)..<rest.startIndex]
            case UInt8(ascii: "\\"):
                if rest.starts(with: "u0000".utf8) { throw .malformed }
                _ = rest.popFirst()
            default: break
            }
        }
        throw .malformed
    }

    /// The next value of any kind, from its first character to its last.
    mutating func value() throws(TokenError) -> ArraySlice<UInt8> {
        skipSpace()
        let start = rest
        var depth = 0
        repeat {
            switch rest.first {
            case UInt8(ascii: "\""): _ = try string()
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                guard depth <= JSONMembers.maximumDepth else { throw .malformed }
                rest.removeFirst()
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth -= 1
                guard depth >= 0 else { throw .malformed }
                rest.removeFirst()
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard depth > 0 else { throw .malformed }
                rest.removeFirst()
            case .some: skipScalar()
            case .none: throw .malformed
            }
            if depth > 0 { skipSpace() }
        } while depth > 0
        return start[..<rest.startIndex]
    }

    /// A number, `true`, `false` or `null`; always at least one byte, so that `value` makes progress.
    private mutating func skipScalar() {
        repeat { rest.removeFirst() } while rest.first.map { !Self.endsScalar($0) } ?? false
    }

    private static func endsScalar(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "\""), UInt8(ascii: "{"), UInt8(ascii: "}"),
            UInt8(ascii: "["), UInt8(ascii: "]"):
            true
        default: isSpace(byte)
        }
    }

    private mutating func skipSpace() {
        rest = rest.drop(while: Self.isSpace)
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\r")
            || byte == UInt8(ascii: "\n")
    }
}

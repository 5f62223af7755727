import TLSEngine

/// A line of a file of keys. All of these files have the one form
///
///     [NAME] KEY [COMMENT]
///
/// of fields between blanks: whose key it is, its fingerprint, and anything. A name is plain, or hashed (`HashedName`).
struct KeyLine {
    /// Counted from 1.
    let number: Int
    let name: Name?
    let key: Fingerprint
    /// Where the key begins in the file, in bytes.
    let keyOffset: Int

    enum Name {
        case plain(String)
        case hashed(HashedName)

        init?(_ text: String) {
            guard text.hasPrefix("|") else {
                self = .plain(text)
                return
            }
            guard let name = HashedName(text) else { return nil }
            self = .hashed(name)
        }

        func stands(for name: String) -> Bool {
            switch self {
            // Not `==` of strings, for which different bytes can be the same name.
            case .plain(let text): text.utf8.elementsEqual(name.utf8)
            case .hashed(let hashed): hashed.stands(for: name)
            }
        }
    }

    /// Whether the lines of a file must have a name.
    enum Naming {
        case required
        /// A first field that is a fingerprint is the key.
        case optional
    }

    /// Nil for a blank line and for a comment. Throws what is wrong with the line.
    init?(_ raw: ArraySlice<UInt8>, number: Int, naming: Naming) throws(Malformed) {
        guard String(validating: raw, as: UTF8.self) != nil else { throw Malformed(reason: "not UTF-8") }
        let fields = raw.split { $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") || $0 == UInt8(ascii: "\r") }
        guard let first = fields.first, first.first != UInt8(ascii: "#") else { return nil }
        self.number = number
        if naming == .optional, let key = Fingerprint(String(decoding: first, as: UTF8.self)) {
            name = nil
            self.key = key
            keyOffset = first.startIndex
            return
        }
        guard let name = Name(String(decoding: first, as: UTF8.self)) else {
            throw Malformed(reason: "not a hashed name")
        }
        guard fields.count >= 2 else {
            throw Malformed(reason: naming == .required ? "expected NAME FINGERPRINT" : "not a fingerprint")
        }
        guard let key = Fingerprint(String(decoding: fields[1], as: UTF8.self)) else {
            throw Malformed(reason: "not a fingerprint")
        }
        self.name = name
        self.key = key
        keyOffset = fields[1].startIndex
    }

    struct Malformed: Error {
        let reason: String
    }

    /// Whether a line with this plain name reads back as it was written.
    static func canHold(_ name: String) -> Bool {
        guard let first = name.utf8.first, first != UInt8(ascii: "#"), first != UInt8(ascii: "|") else { return false }
        return name.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f }
    }
}

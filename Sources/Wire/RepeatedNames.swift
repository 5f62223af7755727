/// Whether an object of a JSON text has a name twice, or one that is not spelled plainly: JSONDecoder takes one of the two and does
/// not say which, and another implementation may take the other (PROTOCOL §4.1). Names with escapes are found as well, so that
/// no name has two spellings.
///
/// What is not JSON is the decoder's to refuse: here it may be called either.
func hasRepeatedNames(_ json: [UInt8]) -> Bool {
    /// The names so far of each object around; nil for an array.
    var open: [Set<ArraySlice<UInt8>>?] = []
    var rest = json[...]
    /// The last string, until what follows tells whether it was a name.
    var string: ArraySlice<UInt8>?
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "{"): open.append([])
        case UInt8(ascii: "["): open.append(nil)
        case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = open.popLast()
        case UInt8(ascii: "\""): string = takeString(&rest)
        case UInt8(ascii: ":"):
            guard let name = string, !open.isEmpty else { return false }
            guard !name.contains(UInt8(ascii: "\\")), open[open.count - 1]?.insert(name).inserted ?? true else {
                return true
            }
            string = nil
        default: break
        }
    }
    return false
}

/// The text up to the quote that ends it, without it. Escapes are left as they are.
private func takeString(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let start = rest
    while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "\""): return start[..<(rest.startIndex - 1)]
        case UInt8(ascii: "\\"): _ = rest.popFirst()
        default: break
        }
    }
    return start
}

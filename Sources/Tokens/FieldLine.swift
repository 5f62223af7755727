/// A line that says something in a file that an operator writes: fields with blanks between. A field that begins with `#` begins a comment.
struct FieldLine {
    /// Counted from 1.
    let number: Int
    /// At least one.
    let fields: [Substring]

    /// All lines but empty ones and comments.
    static func all(in text: String) -> [FieldLine] {
        let lines = text.split(omittingEmptySubsequences: false) { $0 == "\n" || $0 == "\r\n" }
        return zip(1..., lines).compactMap { number, line in
            let fields = line.split { $0 == " " || $0 == "\t" || $0 == "\r" }.prefix { !$0.hasPrefix("#") }
            return fields.isEmpty ? nil : FieldLine(number: number, fields: Array(fields))
        }
    }
}

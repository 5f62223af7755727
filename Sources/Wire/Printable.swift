/// Text from a peer, fit for a log line or a terminal: control, format and unassigned characters are left out, and no more
/// than 500 scalars are kept.
package struct Printable: Sendable, CustomStringConvertible {
    package let description: String

    /// `text` may be anything.
    package init(_ text: String) {
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars.prefix(500) where scalar.isPrintable { scalars.append(scalar) }
        description = String(scalars)
    }
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        switch properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: false
        default: true
        }
    }
}

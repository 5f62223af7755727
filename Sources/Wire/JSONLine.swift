#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// One JSON object on one line, its members in the order given, without a line break at the end. For logs: may be
/// called from any thread.
///
/// Control characters in a value are escaped, so what a peer sends can neither end the line nor add a member to it. A
/// name that occurs twice is written twice: choosing distinct names is the caller's business.
package func jsonLine(_ fields: [(String, String)]) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    // JSONEncoder sorts or shuffles the keys of a dictionary. Each string is encoded by itself, and the order kept.
    let members = fields.map { name, value in "\(encoder.line(name)):\(encoder.line(value))" }
    return "{\(members.joined(separator: ","))}"
}

extension JSONEncoder {
    /// Encoding a string cannot fail; a log line is worth less than the process in any case.
    fileprivate func line(_ string: String) -> String {
        guard let data = try? encode(string) else { return "\"\"" }
        return String(decoding: data, as: UTF8.self)
    }
}

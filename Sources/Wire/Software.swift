/// This program, as it introduces itself.
package enum Software {
    package static let version = "0.1.0"
    package static let name = "adit/\(version)"
}

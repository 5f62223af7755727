/// This program, as it introduces itself.
package enum Software {
    /// The version of this program.
    package static let version = "0.1.0"
    /// Name and version, as in a hello.
    package static let name = "adit/\(version)"
}

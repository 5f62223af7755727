package import TLSEngine

/// The names by which modules that do not import `TLSEngine` pass on what it makes.
package typealias Identity = TLSEngine.Identity
/// A key as it is written and compared.
package typealias Fingerprint = TLSEngine.Fingerprint

extension Fingerprint {
    /// The SHA-256 that it spells, for the modules that know it under this module's name.
    package var digestBytes: [UInt8] { digest }
}

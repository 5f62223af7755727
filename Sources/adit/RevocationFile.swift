import EndToEnd
import Tokens

/// The file of `--revocations`, and what it looked like when it was last read.
struct RevocationFile: Sendable {
    /// Half a million tokens.
    private static let maximumBytes = 16 << 20

    let path: String
    /// What it said when it was last understood.
    private(set) var latest = Revocations()
    private var version: FileVersion?
    private var failure: String?

    init(path: String) {
        self.path = path
    }

    /// - Throws: `.configuration`, naming file and line.
    mutating func read() throws(Failure) -> Revocations {
        // A file that cannot be understood is not read again until it changes.
        version = FileVersion(path: path)
        let bytes = try FileContents.bytes(
            of: path, what: "file of \(OptionName.revocations.flag),", maximumBytes: Self.maximumBytes)
        do {
            latest = try Revocations(reading: bytes)
            failure = nil
            return latest
        } catch {
            throw .configuration("\(path): \(error.reason)")
        }
    }

    /// Whether this is another failure than the last one: a file is looked at so often that each is told once.
    mutating func isNewFailure(_ failure: Failure) -> Bool {
        defer { self.failure = failure.message }
        return self.failure != failure.message
    }

    /// Whether the file may be another one than was read.
    var hasChanged: Bool {
        guard let version else { return FileVersion(path: path) != nil }
        return !version.isCurrent(at: path)
    }
}

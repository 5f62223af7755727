import Tokens

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

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
        // Before the contents: an edit in between then shows as a change. A file that cannot be understood is not read again until it changes.
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
        return !version.isSettled || version != FileVersion(path: path)
    }
}

/// What changes when a file is edited or replaced.
private struct FileVersion: Equatable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    private let seconds: Int
    private let nanoseconds: Int
    /// Whether the last change was so long ago when it was looked at that another would show: file systems count in steps.
    let isSettled: Bool

    /// Nil for a file that is not there.
    init?(path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        device = status.st_dev
        inode = status.st_ino
        size = status.st_size
        // The time of the last change, unlike that of the last modification, cannot be set back.
        #if canImport(Darwin)
        let changed = status.st_ctimespec
        #else
        let changed = status.st_ctim
        #endif
        seconds = changed.tv_sec
        nanoseconds = changed.tv_nsec
        isSettled = Timestamp.now.seconds - Int64(changed.tv_sec) > 2
    }

    static func == (one: FileVersion, other: FileVersion) -> Bool {
        (one.device, one.inode, one.size, one.seconds, one.nanoseconds)
            == (other.device, other.inode, other.size, other.seconds, other.nanoseconds)
    }
}

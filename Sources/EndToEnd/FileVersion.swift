#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a file looked like before it was read: what changes when it is edited or replaced. Taken before the contents, so
/// that an edit in between shows as a change.
package struct FileVersion: Sendable {
    private let device: dev_t
    private let inode: ino_t
    private let size: off_t
    private let seconds: Int
    private let nanoseconds: Int
    /// Whether the last change was so long ago that another would show: file systems count in steps of up to two seconds.
    private let isSettled: Bool

    /// Nil for a file that is not there.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        self.init(status)
    }

    init(_ status: stat) {
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
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        isSettled = now.tv_sec - changed.tv_sec > 2
    }

    /// Whether the file at `path` is certainly this one still.
    package func isCurrent(at path: String) -> Bool {
        guard isSettled, let now = FileVersion(path: path) else { return false }
        return (device, inode, size, seconds, nanoseconds)
            == (now.device, now.inode, now.size, now.seconds, now.nanoseconds)
    }
}

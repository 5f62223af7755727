#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Gives memory back to the system when a crowd has left.
///
/// glibc keeps what is freed, for each thread by itself, except at the end of its heap: a single live block above holds all
/// that is free below. So after thousands of handshakes a relay would stay as large as it was at its largest.
struct MemoryTrim {
    private static let interval = Duration.seconds(5)
    /// A smaller crowd is not worth the work.
    private static let smallestCrowd = 256

    /// Connections of the crowd at its largest.
    private var crowd = 0

    /// Looks after the memory of a relay with this door until the task is cancelled.
    static func run(at door: Door) async {
        var trim = MemoryTrim()
        while (try? await Task.sleep(for: interval)) != nil {
            if trim.hasLeft(peak: door.takePeak(), now: door.connections) { giveBack() }
        }
    }

    /// Whether the greater part of a crowd is gone, `peak` being the most connections since the last call.
    mutating func hasLeft(peak: Int, now: Int) -> Bool {
        crowd = max(crowd, peak)
        guard crowd - now >= MemoryTrim.smallestCrowd, now <= crowd / 2 else { return false }
        crowd = now
        return true
    }

    /// Nothing where the C library is another: then it has no such call, and perhaps no such need.
    private static func giveBack() {
        typealias MallocTrim = @convention(c) (Int) -> Int32
        guard let symbol = unsafe dlsym(nil, "malloc_trim") else { return }
        // glibc's malloc.h: int malloc_trim(size_t pad).
        _ = unsafe unsafeBitCast(symbol, to: MallocTrim.self)(0)
    }
}

import Logging

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How many files and sockets the process may have open.
enum Descriptors {
    #if canImport(Glibc)
    private static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    #else
    private static let resource = RLIMIT_NOFILE
    #endif

    /// Takes all that the system allows: shells start programs with 1024, for the sake of those that still use `select`.
    static func raiseLimit() {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return }
        limit.rlim_cur = limit.rlim_max
        // Darwin has a lower maximum than it says; what was there before is kept then.
        _ = unsafe setrlimit(resource, &limit)
    }

    /// All that the system allows; nil for no limit that matters.
    static var most: Int? {
        var limit = rlimit()
        guard unsafe getrlimit(resource, &limit) == 0 else { return nil }
        return Int(exactly: limit.rlim_max)
    }
}

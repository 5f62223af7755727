import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Tells the service manager how far we are (sd_notify(3)): one datagram to the socket that `$NOTIFY_SOCKET` names.
/// Does nothing where it is unset. May be used from any thread.
final class Readiness: Sendable {
    private let socketPath: String?
    private let isReady = Mutex(false)

    init(environment: [String: String]) {
        socketPath = environment["NOTIFY_SOCKET"]
    }

    /// Start-up is over; only the first call counts. What depends on us may start.
    func ready() {
        let isFirst = isReady.withLock { isReady in
            defer { isReady = true }
            return !isReady
        }
        if isFirst { notify("READY=1") }
    }

    /// We are going, and shall be given the time to.
    func stopping() {
        notify("STOPPING=1")
    }

    /// Best effort: a manager that does not listen will notice by itself.
    private func notify(_ state: String) {
        guard let socketPath, var address = Self.address(socketPath) else { return }
        #if canImport(Glibc)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        #else
        let descriptor = socket(AF_UNIX, SOCK_DGRAM, 0)
        #endif
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = socklen_t(Self.pathOffset + socketPath.utf8.count)
        unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                _ = unsafe sendto(descriptor, state, state.utf8.count, 0, address, length)
            }
        }
    }

    private static let pathOffset = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2

    /// Nil for what is neither an absolute path nor, with a leading `@`, an abstract name, and for what is too long.
    private static func address(_ path: String) -> sockaddr_un? {
        guard path.hasPrefix("/") || path.hasPrefix("@") else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let fits = unsafe withUnsafeMutableBytes(of: &address.sun_path) { room in
            guard path.utf8.count < room.count else { return false }
            unsafe room.copyBytes(from: path.utf8)
            // The kernel marks an abstract name with a zero byte.
            if path.hasPrefix("@") { unsafe room[0] = 0 }
            return true
        }
        return fits ? address : nil
    }
}

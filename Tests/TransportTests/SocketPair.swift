import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Two connected stream sockets, non-blocking, and the caller's to close. Throws `IOError`.
func makeSocketPair() throws -> (near: CInt, far: CInt) {
    var ends: [CInt] = [-1, -1]
    #if canImport(Glibc)
    let type = CInt(SOCK_STREAM.rawValue)
    #else
    let type = SOCK_STREAM
    #endif
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw IOError(errnoCode: errno, reason: "socketpair") }
    for end in ends {
        guard fcntl(end, F_SETFL, O_NONBLOCK) == 0 else { throw IOError(errnoCode: errno, reason: "fcntl") }
        #if canImport(Darwin)
        var on: CInt = 1
        setsockopt(end, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<CInt>.size))
        #endif
    }
    return (ends[0], ends[1])
}

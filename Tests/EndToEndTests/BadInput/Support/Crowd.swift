import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Connections to a relay that come to nothing, held open for as long as it lets them.
final class Crowd {
    /// What each of them says.
    enum Speech {
        case nothing
        /// The beginning of a TLS handshake, and no more.
        case halfAHandshake
        case garbage
    }

    private var connections: [Connection] = []

    /// - Parameter pause: before each of them. Without one they come as fast as this process can make them.
    /// - Throws: `ProcessError` where this process may not have enough descriptors.
    func add(_ count: Int, saying speech: Speech, to port: UInt16, pause: Duration = .zero) throws {
        try Crowd.needDescriptors(connections.count + count + 200)
        for number in 0..<count {
            if pause > .zero { usleep(UInt32(pause / .microseconds(1))) }
            let connection = try Connection(to: port)
            // A relay that has closed it already does what it should.
            try? connection.send(Crowd.bytes(speech, number))
            connections.append(connection)
        }
    }

    func leave() {
        for connection in connections { try? connection.reset() }
        connections = []
    }

    private static func bytes(_ speech: Speech, _ number: Int) -> [UInt8] {
        switch speech {
        case .nothing: []
        // A record of 512 bytes (RFC 8446 §5.1), of which a ClientHello's first 100 are there.
        case .halfAHandshake: [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3] + (0..<95).map { UInt8($0 ^ number & 0x7f) }
        case .garbage: (0..<200).map { _ in .random(in: .min ... .max) }
        }
    }

    private static func needDescriptors(_ count: Int) throws {
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        var limit = rlimit()
        getrlimit(resource, &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(resource, &limit)
        guard limit.rlim_max >= rlim_t(count) else {
            throw ProcessError(
                "this test needs \(count) descriptors, and the system allows \(limit.rlim_max) (ulimit -Hn)")
        }
    }
}

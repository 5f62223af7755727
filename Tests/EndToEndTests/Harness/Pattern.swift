import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Bytes of a transfer, known in advance at every place: random ones, repeated after a prime count, so that a piece that
/// is lost, doubled or moved shows.
struct Pattern: Sendable {
    private static let period: [UInt8] = {
        // Linear congruential, after Knuth: any fixed sequence without a short period will do.
        var state: UInt64 = 42
        return (0..<1_048_573).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
    }()

    /// How many bytes have gone by.
    private(set) var count = 0

    /// The next bytes to send, at most so many.
    mutating func next(atMost limit: Int) -> [UInt8] {
        let start = count % Self.period.count
        let piece = Self.period[start..<min(start + limit, Self.period.count)]
        count += piece.count
        return Array(piece)
    }

    /// Checks the next bytes received.
    ///
    /// - Throws: `ProcessError` when they are others.
    mutating func expect(_ bytes: [UInt8]) throws {
        var checked = 0
        while checked < bytes.count {
            let expected = next(atMost: bytes.count - checked)
            // Comparing arrays takes an unoptimized test a thousand times as long.
            let same = bytes.withUnsafeBytes { memcmp($0.baseAddress! + checked, expected, expected.count) == 0 }
            guard same else { throw ProcessError("wrong bytes before byte \(count)") }
            checked += expected.count
        }
    }
}

extension Connection {
    /// Sends so many bytes of a pattern from its beginning; `progress` is told how many have gone by.
    func sendPattern(_ count: Int, progress: (Int) -> Void = { _ in }) throws {
        var pattern = Pattern()
        while pattern.count < count {
            try send(pattern.next(atMost: min(65_536, count - pattern.count)))
            progress(pattern.count)
        }
    }

    /// Receives a pattern up to the end of what the other end sends; how many bytes there were.
    ///
    /// - Throws: `SocketError`, and `ProcessError` when they are others.
    func receivePattern() throws -> Int {
        var pattern = Pattern()
        while case let bytes = try receive(), !bytes.isEmpty { try pattern.expect(bytes) }
        return pattern.count
    }
}

#if os(Linux)
import TestSupport

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

extension Process {
    /// Runs `body` and checks that meanwhile, and at its end, the process has never held so much more memory than before.
    /// With a sanitizer it only runs `body`: what was freed is held back there, and shadowed.
    ///
    /// - Throws: `ProcessError` with the peak.
    func stays(within growth: Int, _ body: () throws -> Void) throws {
        guard Sanitizer.name == nil else { return try body() }
        let before = try residentBytes()
        let peak = Monitor(before)
        let watch = Background { [weak self] in
            var isOver = false
            while !isOver {
                guard let now = try self?.residentBytes() else { return }
                isOver = peak.change { peak in
                    // Negative: the body is over.
                    if peak < 0 { return true }
                    peak = max(peak, now)
                    return false
                }
                poll(nil, 0, 10)
            }
        }
        defer { withExtendedLifetime(watch) {} }
        let result = Result { try body() }
        let after = try residentBytes()
        let highest = peak.change { peak in
            defer { peak = -1 }
            return max(peak, after)
        }
        try result.get()
        guard highest - before <= growth else {
            throw ProcessError("grew by \((highest - before) >> 20) MiB, beyond \(growth >> 20)")
        }
    }
}
#else
import TestSupport

extension Process {
    /// Memory is measured on Linux alone.
    func stays(within growth: Int, _ body: () throws -> Void) throws { try body() }
}
#endif

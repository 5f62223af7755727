#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a child writes to one of its outputs, kept whole. A thread of its own reads it.
package final class CapturedOutput: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var hasEnded = false
    }

    package let name: String
    private let state = Monitor(State())

    init(draining end: Pipe.End, name: String) {
        self.name = name
        startThread { [state] in
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let count = end.read(into: &chunk)
                guard count > 0 else { break }
                state.change { $0.bytes += chunk.prefix(count) }
            }
            Sanitizer.passOnReport(in: state.change { $0.bytes }, of: name)
            state.change { $0.hasEnded = true }
            end.close()
        }
    }

    /// So far.
    package var bytes: [UInt8] { state.change { $0.bytes } }

    /// So far, whatever is not UTF-8 replaced.
    package var text: String { String(decoding: bytes, as: UTF8.self) }

    /// The complete lines so far.
    package var lines: [String] { Self.lines(bytes, hasEnded: false) }

    /// Waits for a line that contains `text`, or for the nth one, and returns it.
    ///
    /// - Throws: `ProcessError` with what there is, as soon as the output ends without it or when time is up.
    @discardableResult
    package func waitForLine(
        containing text: String, occurrence: Int = 1, within limit: Duration = Process.patience
    ) throws -> String {
        let found: Result<String, ProcessError>? = state.wait(within: limit) { state in
            let matches = Self.lines(state.bytes, hasEnded: state.hasEnded).filter { $0.contains(text) }
            if matches.count >= occurrence { return .success(matches[occurrence - 1]) }
            return state.hasEnded ? .failure(ProcessError("\(self.name) ended without a line '\(text)'")) : nil
        }
        switch found {
        case .success(let line)?: return line
        case .failure(let error)?: throw ProcessError("\(error):\n\(self.text)")
        case nil: throw ProcessError("\(name) had no line '\(text)' within \(limit):\n\(self.text)")
        }
    }

    func waitForEnd(within limit: Duration) {
        state.wait(within: limit) { $0.hasEnded ? () : nil }
    }

    /// What follows the last line break is a line only when no more can come.
    private static func lines(_ bytes: [UInt8], hasEnded: Bool) -> [String] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if let last = lines.last, !hasEnded || last.isEmpty { lines.removeLast() }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}

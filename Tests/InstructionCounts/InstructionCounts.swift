#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The same work on every run, for `deploy/instruction-counts` to count the instructions of.
///
///     instruction-counts PART         prepares the part's work, and does it
///     instruction-counts PART idle    prepares it only: what is to be subtracted
///
/// Nothing here depends on time: windows keep their size or grow by round trips of a given length, links are memory,
/// and the event loop is NIO's embedded one, which runs when it is told to.
@main
enum InstructionCounts {
    /// What is counted apart, so that a figure says where the instructions went.
    enum Part: String, CaseIterable {
        /// Frame headers through two sessions, with their credit.
        case mux
        /// Mutual TLS handshakes.
        case handshake
        /// Payload sealed and opened.
        case records
        /// Checks of one token.
        case token
        /// Payload through the relay, on one stream.
        case relay
        /// Small requests and answers through the relay, on many streams.
        case requests
    }

    static func main() {
        let arguments = CommandLine.arguments.dropFirst()
        let part = arguments.first.flatMap(Part.init)
        let isIdle = arguments.dropFirst() == ["idle"]
        guard let part, arguments.count == 1 || isIdle else {
            let names = Part.allCases.map(\.rawValue).joined(separator: "|")
            fail("usage: instruction-counts \(names) [idle]", status: EX_USAGE)
        }
        do {
            try run(part, isIdle: isIdle)
        } catch {
            fail("\(part.rawValue): \(error)", status: EX_SOFTWARE)
        }
    }

    private static func run(_ part: Part, isIdle: Bool) throws {
        switch part {
        case .mux: try carryFrames(isIdle ? 0 : 200_000)
        case .handshake: try shakeHands(isIdle ? 0 : 20)
        case .records: try sealAndOpen(bulk: isIdle ? 0 : 256, small: isIdle ? 0 : 10_000)
        case .token: try verifyToken(isIdle ? 0 : 1_000)
        case .relay: try relayBytes(isIdle ? 0 : 16 * 1024 * 1024)
        case .requests: try relayRequests(isIdle ? 0 : 100)
        }
    }

    private static func fail(_ message: String, status: Int32) -> Never {
        _ = (message + "\n").withCString { write(STDERR_FILENO, $0, strlen($0)) }
        exit(status)
    }
}

/// The work did not come to what it should: whatever was counted is not comparable.
struct WorkDiffers: Error, CustomStringConvertible {
    let description: String

    static func check(_ actual: Int, is expected: Int, _ noun: String) throws(WorkDiffers) {
        guard actual == expected else { throw WorkDiffers(description: "\(actual) \(noun), not \(expected)") }
    }
}

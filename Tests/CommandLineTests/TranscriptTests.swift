import TestSupport
import Testing

@Suite("the command line, as transcripts")
struct TranscriptTests {
    static let directory = "\(#filePath.split(separator: "/").dropLast().map { "/\($0)" }.joined())/testdata"

    @Test("every transcript holds", arguments: try! names(in: directory))
    func holds(file: String) throws {
        let transcript = try Transcript(path: "\(Self.directory)/\(file)")
        #expect(!transcript.steps.isEmpty)
        for difference in try transcript.differences() { Issue.record("\(difference)") }
    }
}

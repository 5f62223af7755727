import Testing

@testable import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Docs/PROTOCOL.md is what somebody else implements: what it says byte for byte must be what this code does.
@Suite("Docs/PROTOCOL.md")
struct ProtocolDocumentTests {
    @Test("every message of the vectors stands in it")
    func messages() throws {
        let lines = Set(try document().map { $0.drop { $0 == " " } })
        for vector in Vectors.all { #expect(lines.contains(vector[...]), "\(vector)") }
    }

    @Test("every code has its row in the table of codes, marked transient if it is")
    func codes() throws {
        let rows = try document().filter { $0.hasPrefix("| `") }
        for code in RefusalCode.allCases where code != .unknown {
            let row = try #require(rows.first { $0.hasPrefix("| `\(code.rawValue)` |") }, "\(code.rawValue)")
            #expect(row.hasSuffix("| yes |") == code.isTransient, "\(code.rawValue)")
        }
    }

    @Test("the worked example is what this code sends")
    func workedExample() throws {
        let lines = try document()
        let start = try #require(lines.firstIndex { $0.hasPrefix("## 11.") })
        let written = lines[start...].filter { $0.hasPrefix("    ") }.map { $0.drop { $0 == " " } }
        let sent = try WorkedExample.lines.map { $0[...] }
        #expect(written == sent)
    }

    private func document() throws -> [String] {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let path = "\(root)/Docs/PROTOCOL.md"
        let file = try #require(fopen(path, "r"), "\(path) cannot be opened")
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).map(
            String.init)
    }
}

/// The frames of PROTOCOL §11, made as the program makes them.
private enum WorkedExample {
    static var lines: [String] {
        get throws { try link + tunnel + session + forward }
    }

    private static let agentID = AgentID("db-1")!
    private static let target = HostPort(host: "localhost", port: 5432)
    private static let token = BearerToken("eyJhbGciOiJIUzI1NiJ9.e30.c2ln")

    private static var link: [String] {
        get throws {
            let hello = Hello(role: .agent, token: token, agentID: agentID, software: "adit/1.0.0")
            return [
                line("agent", "relay", opening(1)), try line("agent", "relay", 1, hello),
                line("relay", "agent", acknowledgement(1)),
                try line("relay", "agent", 1, Answer.accepted(Welcome(software: "adit/1.0.0"))),
            ]
        }
    }

    private static var tunnel: [String] {
        get throws {
            let request = TunnelRequest(agentID: agentID)
            let offer = TunnelOffer(clientID: "alice", clientAddress: "203.0.113.7")
            return [
                line("connect", "relay", opening(3)), try line("connect", "relay", 3, request),
                line("relay", "connect", acknowledgement(3)),
                line("relay", "agent", opening(2)), try line("relay", "agent", 2, offer),
                line("agent", "relay", acknowledgement(2)),
                line("agent", "relay", update(2, credit: try Message.encode(offer).count)),
                line("relay", "connect", update(3, credit: try Message.encode(request).count)),
                try line("agent", "relay", 2, Answer.accepted(Accepted())),
                try line("relay", "connect", 3, Answer.accepted(Accepted())),
            ]
        }
    }

    private static var session: [String] {
        get throws {
            [
                line("connect", "agent", opening(1)), try line("connect", "agent", 1, SessionHello(target: nil)),
                line("agent", "connect", acknowledgement(1)),
                try line("agent", "connect", 1, Answer.accepted(SessionWelcome(target: target))),
            ]
        }
    }

    private static var forward: [String] {
        get throws {
            [
                line("connect", "agent", opening(3)), try line("connect", "agent", 3, ForwardRequest(target: target)),
                line("connect", "agent", FrameHeader(.data, streamID: StreamID(3), length: 4)) + " \"ping\"",
                line("agent", "connect", acknowledgement(3)),
                try line("agent", "connect", 3, Answer.accepted(Accepted())),
                line("connect", "agent", finish(3)),
                line("agent", "connect", FrameHeader(.data, streamID: StreamID(3), length: 4)) + " \"pong\"",
                line("agent", "connect", finish(3)),
            ]
        }
    }

    // MARK: Frames

    private static func opening(_ id: UInt32) -> FrameHeader {
        FrameHeader(.windowUpdate, flags: .syn, streamID: StreamID(id), length: 0)
    }

    private static func acknowledgement(_ id: UInt32) -> FrameHeader {
        FrameHeader(.windowUpdate, flags: .ack, streamID: StreamID(id), length: 0)
    }

    private static func finish(_ id: UInt32) -> FrameHeader {
        FrameHeader(.windowUpdate, flags: .fin, streamID: StreamID(id), length: 0)
    }

    private static func update(_ id: UInt32, credit: Int) -> FrameHeader {
        FrameHeader(.windowUpdate, streamID: StreamID(id), length: UInt32(credit))
    }

    // MARK: Lines

    private static func line(_ sender: String, _ receiver: String, _ header: FrameHeader) -> String {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { header.write(to: base) } }
        let parties = "\(sender) → \(receiver)"
        return parties + String(repeating: " ", count: 17 - parties.count) + hex(bytes)
    }

    private static func line(
        _ sender: String, _ receiver: String, _ id: UInt32, _ message: some Encodable
    ) throws -> String {
        let bytes = try Message.encode(message)
        let header = FrameHeader(.data, streamID: StreamID(id), length: UInt32(bytes.count))
        let json = String(decoding: bytes.dropFirst(2), as: UTF8.self)
        return "\(line(sender, receiver, header)) \(hex(bytes.prefix(2))) \(json)"
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

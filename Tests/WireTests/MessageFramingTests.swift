import Testing

@testable import Wire

@Suite("Message framing")
struct MessageFramingTests {
    @Test("a message is its length in two big-endian bytes, then its JSON")
    func layout() throws {
        let bytes = try Message.encode(TunnelRequest(agentID: AgentID("db-1")!))
        #expect(bytes == [0, 19] + Array(#"{"agent_id":"db-1"}"#.utf8))
    }

    @Test("a message comes whole from pieces of any size", arguments: [1, 2, 3, 7, 19, 20, 21, 1000])
    func pieces(size: Int) throws {
        let bytes = try Message.encode(TunnelRequest(agentID: AgentID("db-1")!))
        var buffer = MessageBuffer()
        #expect(buffer.isEmpty)
        var rest = bytes[...]
        var whole: [UInt8]?
        while whole == nil, !rest.isEmpty {
            let (consumed, json) = try take(Array(rest.prefix(size)), into: &buffer)
            #expect(consumed == min(size, rest.count))
            rest = rest.dropFirst(consumed)
            #expect(buffer.isEmpty == (json != nil))
            whole = json
        }
        #expect(rest.isEmpty)
        #expect(whole == Array(bytes.dropFirst(2)))
    }

    @Test("what follows a message is left to the caller, and the buffer takes the next one")
    func following() throws {
        var buffer = MessageBuffer()
        let (consumed, json) = try take([0, 2, 0x7b, 0x7d, 0, 1, 0x35], into: &buffer)
        #expect(consumed == 4)
        #expect(json == [0x7b, 0x7d])
        let (next, second) = try take([0, 1, 0x35], into: &buffer)
        #expect(next == 3)
        #expect(second == [0x35])
    }

    @Test("no input changes nothing")
    func nothing() throws {
        var buffer = MessageBuffer()
        #expect(try take([], into: &buffer) == (0, nil))
        #expect(try take([0], into: &buffer) == (1, nil))
        #expect(try take([], into: &buffer) == (0, nil))
        #expect(!buffer.isEmpty)
    }

    @Test("a message of no bytes is whole, and no JSON")
    func empty() throws {
        var buffer = MessageBuffer()
        let (consumed, json) = try take([0, 0, 9], into: &buffer)
        #expect(consumed == 2)
        #expect(json == [])
        #expect(buffer.isEmpty)
        #expect(throws: MessageError.self) { try Message.decode(Accepted.self, from: []) }
    }

    @Test("a message beyond the limit is refused from its length alone", arguments: [16_385, 16_640, 65_535])
    func tooLarge(length: Int) {
        var buffer = MessageBuffer()
        #expect(throws: MessageError.tooLarge(length)) {
            try take([UInt8(length >> 8), UInt8(length & 0xff)], into: &buffer)
        }
        // And again: what is in the buffer can never become a message.
        #expect(throws: MessageError.tooLarge(length)) { try take([0], into: &buffer) }
    }

    @Test("a message of exactly the limit passes both ways")
    func largest() throws {
        let shell = try Message.encode(Welcome(software: "")).count - 2
        let fits = String(repeating: "a", count: Protocol.largestMessage - shell)
        let bytes = try Message.encode(Welcome(software: fits))
        #expect(bytes.count == 2 + 16_384)
        #expect(bytes[0] == 0x40)
        #expect(bytes[1] == 0)
        var buffer = MessageBuffer()
        let (consumed, json) = try take(bytes, into: &buffer)
        #expect(consumed == bytes.count)
        #expect(try Message.decode(Welcome.self, from: try #require(json)).software == fits)
        #expect(throws: MessageError.tooLarge(16_385)) { try Message.encode(Welcome(software: fits + "a")) }
    }

    @Test("JSON in another encoding, or behind a byte order mark, is refused")
    func otherEncodings() {
        let text = "{\"software\":\"x\"}"
        let little = text.utf16.flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
        let big = text.utf16.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xff)] }
        for json in [little, big, [0xef, 0xbb, 0xbf] + Array(text.utf8), [0xff, 0xfe] + little, Array("[]".utf8)] {
            #expect(throws: MessageError.malformed("Welcome is not a JSON object in UTF-8")) {
                try Message.decode(Welcome.self, from: json)
            }
        }
    }

    private func take(_ bytes: [UInt8], into buffer: inout MessageBuffer) throws -> (consumed: Int, json: [UInt8]?) {
        try bytes.withUnsafeBytes { try buffer.take($0) }
    }
}

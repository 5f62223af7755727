import Testing

@testable import Wire

@Suite("Names in messages")
struct RepeatedNamesTests {
    @Test(
        "a message with a name twice is malformed, however deep the name is",
        arguments: [
            #"{"agent_id":"a","agent_id":"b"}"#, #"{"agent_id":"a","agent_id":"a"}"#,
            #"{ "x" : 1 , "agent_id" : "a" , "x" : 2 }"#, #"{"agent_id":"a","x":{"y":1,"y":2}}"#,
            #"{"agent_id":"a","x":[1,{"y":[],"z":{},"y":2}]}"#,
        ])
    func repeated(json: String) {
        #expect(throws: MessageError.malformed("TunnelRequest has a name twice, or one with escapes")) {
            try Message.decode(TunnelRequest.self, from: Array(json.utf8))
        }
    }

    @Test("a second spelling of a name is malformed")
    func escaped() {
        for json in [#"{"agent_id":"a","agent\u005fid":"b"}"#, #"{"agent_id":"a","\u0078":1}"#] {
            #expect(throws: MessageError.malformed("TunnelRequest has a name twice, or one with escapes")) {
                try Message.decode(TunnelRequest.self, from: Array(json.utf8))
            }
        }
    }

    @Test(
        "a name may occur in several objects, and as a value, with escapes there",
        arguments: [
            #"{"agent_id":"a","x":{"agent_id":"b"},"y":[{"agent_id":"c"},{"agent_id":"d"}]}"#,
            #"{"x":"agent_id","agent_id":"a","y":"\"agent_id\":\"b\"","z":["x","x",":"]}"#,
            #"{"x":"\\","agent_id":"a","y":"\\\"","z":"\u0061"}"#,
        ])
    func fine(json: String) throws {
        #expect(try Message.decode(TunnelRequest.self, from: Array(json.utf8)).agentID == AgentID("a"))
    }

    @Test("what is not JSON is looked through without harm")
    func garbage() {
        for text in [
            "", "{", "\"", "\"\\", "{\"", "{:", ":", "}}}}", "]:{", "{\"a\":{\"a\"", "{\"\\", "[\"a\":1,\"a\":2]",
        ] {
            _ = hasRepeatedNames(Array(text.utf8))
        }
        let deep = [UInt8](repeating: UInt8(ascii: "{"), count: Protocol.largestMessage)
        #expect(!hasRepeatedNames(deep))
    }
}

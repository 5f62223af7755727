import Testing

@testable import Wire

@Suite("Messages")
struct MessageTests {
    private let token = BearerToken("eyJhbGciOiJIUzI1NiJ9.e30.c2ln")
    private let agentID = AgentID("db-1")!
    private let target = HostPort(host: "localhost", port: 5432)

    @Test("hello and welcome are written as PROTOCOL §4 has them")
    func controlVectors() throws {
        let software = "adit/1.0.0"
        #expect(
            try json(Hello(role: .agent, token: token, agentID: agentID, software: software)) == Vectors.agentHello)
        #expect(try json(Hello(role: .client, token: token, agentID: nil, software: software)) == Vectors.clientHello)
        #expect(try json(Answer.accepted(Welcome(software: software))) == Vectors.welcome)
        let refusal = Refusal(.tokenExpired, "token expired at 2030-01-01T00:00:00Z")
        #expect(try json(Answer<Welcome>.refused(refusal)) == Vectors.helloRefused)
        #expect(try json(Notice(ending: Refusal(.tokenExpired, "token expired"))) == Vectors.ending)
        #expect(try json(Notice(tokenExpiresIn: 60)) == Vectors.expiring)
        #expect(try json(Notice(renewal: .accepted(Accepted()))) == Vectors.renewed)
        #expect(try json(Renewal(token: token.value)) == Vectors.renewal)
    }

    @Test("tunnel headers and answers are written as PROTOCOL §5 has them")
    func tunnelVectors() throws {
        #expect(try json(TunnelRequest(agentID: agentID)) == Vectors.tunnelRequest)
        #expect(
            try json(TunnelOffer(clientID: "alice", clientAddress: "203.0.113.7")) == Vectors.tunnelOffer)
        #expect(try json(Answer.accepted(Accepted())) == Vectors.accepted)
        let refusal = Refusal(.agentNotFound, "no agent is registered as db-1")
        #expect(try json(Answer<Accepted>.refused(refusal)) == Vectors.tunnelRefused)
    }

    @Test("session and forward messages are written as PROTOCOL §7 and §8 have them")
    func sessionVectors() throws {
        #expect(try json(SessionHello(target: target)) == Vectors.sessionHello)
        #expect(try json(SessionHello(target: nil)) == Vectors.sessionHelloWithoutTarget)
        #expect(try json(Answer.accepted(SessionWelcome(target: target))) == Vectors.sessionWelcome)
        let forbidden = Refusal(.targetForbidden, "this agent forwards to localhost:5432, not to localhost:22")
        #expect(try json(Answer<SessionWelcome>.refused(forbidden)) == Vectors.sessionRefused)
        #expect(try json(ForwardRequest(target: HostPort(host: "::1", port: 5432))) == Vectors.forwardRequest)
        let refused = Refusal(.targetRefused, "[::1]:5432: connection refused")
        #expect(try json(Answer<Accepted>.refused(refused)) == Vectors.forwardRefused)
    }

    @Test("what a vector says is what is read")
    func vectorsDecode() throws {
        let hello = try decoded(Hello.self, Vectors.agentHello)
        #expect(hello.version == 1)
        #expect(hello.role == .agent)
        #expect(hello.token == token.value)
        #expect(hello.agentID == agentID)
        #expect(hello.software == "adit/1.0.0")
        #expect(try decoded(Hello.self, Vectors.clientHello).agentID == nil)
        #expect(
            try decoded(Notice.self, Vectors.ending) == Notice(ending: Refusal(.tokenExpired, "token expired")))
        #expect(try decoded(Notice.self, Vectors.expiring) == Notice(tokenExpiresIn: 60))
        #expect(try decoded(Notice.self, Vectors.renewed) == Notice(renewal: .accepted(Accepted())))
        #expect(try decoded(Renewal.self, Vectors.renewal).token == token.value)
        #expect(try decoded(TunnelRequest.self, Vectors.tunnelRequest) == TunnelRequest(agentID: agentID))
        #expect(try decoded(TunnelOffer.self, Vectors.tunnelOffer).clientAddress == "203.0.113.7")
        #expect(try decoded(SessionHello.self, Vectors.sessionHello) == SessionHello(target: target))
        #expect(try decoded(SessionHello.self, Vectors.sessionHelloWithoutTarget) == SessionHello(target: nil))
        #expect(
            try decoded(ForwardRequest.self, Vectors.forwardRequest).target == HostPort(host: "::1", port: 5432))
    }

    @Test("an answer is one of two things")
    func answers() throws {
        guard case .accepted(let welcome) = try decoded(Answer<Welcome>.self, Vectors.welcome) else {
            Issue.record("a welcome reads as a refusal")
            return
        }
        #expect(welcome == Welcome(software: "adit/1.0.0"))
        guard case .refused(let refusal) = try decoded(Answer<Welcome>.self, Vectors.helloRefused) else {
            Issue.record("a refusal reads as a welcome")
            return
        }
        #expect(refusal.code == .tokenExpired)
        #expect(refusal.message == "token expired at 2030-01-01T00:00:00Z")
    }

    @Test("an answer that says both is a refusal, whatever the order")
    func bothAnswers() throws {
        let refused = #""refused":{"code":"draining","message":"bye"}"#
        for json in [#"{"accepted":{},\#(refused)}"#, #"{\#(refused),"accepted":{}}"#] {
            guard case .refused(let refusal) = try decoded(Answer<Accepted>.self, json) else {
                Issue.record("\(json) was taken as an acceptance")
                continue
            }
            #expect(refusal.code == .draining)
        }
    }

    @Test(
        "an acceptance must be an object",
        arguments: [#"{"accepted":null}"#, #"{"accepted":5}"#, #"{"accepted":"yes"}"#, #"{"accepted":[]}"#, "{}", "[]"])
    func badAcceptance(json: String) {
        #expect(throws: MessageError.self) { try decoded(Answer<Accepted>.self, json) }
    }

    @Test("a refusal with a code from a later version reads as unknown, and is worth another try")
    func unknownCode() throws {
        let json = #"{"refused":{"code":"quota_of_the_year_2031","message":"come back"}}"#
        guard case .refused(let refusal) = try decoded(Answer<Welcome>.self, json) else {
            Issue.record("a refusal reads as a welcome")
            return
        }
        #expect(refusal.code == .unknown)
        #expect(refusal.code.isTransient)
        #expect(refusal.message == "come back")
    }

    @Test("members from a later version are ignored")
    func unknownMembers() throws {
        let hello = #"{"version":1,"role":"client","token":"t","software":"s","colour":"blue","x":[1,{"y":null}]}"#
        #expect(try decoded(Hello.self, hello).role == .client)
        #expect(try decoded(Notice.self, #"{"moving_to":"elsewhere.example:4443"}"#) == Notice())
    }

    @Test("a hello of another version can be read, so that it can be refused by name")
    func laterVersion() throws {
        let hello = #"{"version":2,"role":"client","token":"t","software":"s"}"#
        #expect(try decoded(Hello.self, hello).version == 2)
    }

    @Test(
        "a missing member is named",
        arguments: [
            (#"{"role":"client","token":"t","software":"s"}"#, "Hello lacks version"),
            (#"{"version":1,"token":"t","software":"s"}"#, "Hello lacks role"),
            (#"{"version":1,"role":"client","software":"s"}"#, "Hello lacks token"),
            (#"{"version":1,"role":"client","token":"t"}"#, "Hello lacks software"),
        ])
    func missing(json: String, reason: String) {
        #expect(throws: MessageError.malformed(reason)) { try decoded(Hello.self, json) }
    }

    @Test(
        "a member of the wrong kind is named",
        arguments: [
            (#"{"version":"1","role":"client","token":"t","software":"s"}"#, "Hello has a bad version"),
            (#"{"version":1.5,"role":"client","token":"t","software":"s"}"#, "Hello cannot be read"),
            (#"{"version":1e99,"role":"client","token":"t","software":"s"}"#, "Hello cannot be read"),
            (#"["version"]"#, "Hello is not a JSON object in UTF-8"),
            (#"{"version":1,"role":"relay","token":"t","software":"s"}"#, "Hello has a bad role"),
            (#"{"version":1,"role":"client","token":null,"software":"s"}"#, "Hello has a bad token"),
            (#"{"version":1,"role":"agent","token":"t","software":"s","agent_id":"a b"}"#, "Hello has a bad agent_id"),
        ])
    func wrongKind(json: String, reason: String) {
        #expect(throws: MessageError.malformed(reason)) { try decoded(Hello.self, json) }
    }

    @Test(
        "what is not JSON is malformed",
        arguments: ["", " ", "{", "}", "null", "5", "[]", "\"hello\"", "{\"version\":1", "\u{0}", "GET / HTTP/1.1\r\n"])
    func notJSON(text: String) {
        #expect(throws: MessageError.self) { try decoded(Hello.self, text) }
    }

    @Test("bytes that are not UTF-8 are malformed")
    func notUTF8() {
        let bytes = Array(#"{"agent_id":"a"#.utf8) + [0xff, 0xfe] + Array(#""}"#.utf8)
        #expect(throws: MessageError.self) { try Message.decode(TunnelRequest.self, from: bytes) }
    }

    @Test(
        "JSON nested as deep as a message allows is refused, not followed",
        arguments: [("[", "]"), (#"{"a":"#, "}"), ("[", ""), (#"{"a":"#, "")])
    func nesting(open: String, close: String) {
        let start = #"{"agent_id":"db-1","x":"#
        let depth = (Protocol.largestMessage - start.utf8.count - 2) / (open.utf8.count + close.utf8.count)
        let json = start + String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth) + "}"
        #expect(json.utf8.count <= Protocol.largestMessage)
        #expect(throws: MessageError.self) { try decoded(TunnelRequest.self, json) }
    }

    @Test("an error about a hello does not repeat its token")
    func redaction() {
        let hello = Hello(role: .client, token: token, agentID: nil, software: "s")
        var dumped = ""
        dump(hello, to: &dumped)
        dump(token, to: &dumped)
        for text in ["\(hello)", String(reflecting: hello), "\(token)", String(reflecting: token), dumped] {
            #expect(!text.contains(token.value))
            #expect(!text.isEmpty)
        }
    }

    private func json(_ value: some Encodable) throws -> String {
        String(decoding: try Message.encode(value).dropFirst(2), as: UTF8.self)
    }

    private func decoded<Value: Decodable>(_ type: Value.Type, _ json: String) throws -> Value {
        try Message.decode(type, from: Array(json.utf8))
    }
}

@Suite("Refusals by level")
struct RefusalLevelTests {
    @Test("an agent's word on a client's token ends nothing for good", arguments: RefusalCode.allCases)
    func agentIsNoJudge(code: RefusalCode) {
        let isAboutTheLink: Set<RefusalCode> = [
            .authenticationFailed, .wrongRole, .agentIDForbidden, .agentIDTaken, .replaced, .scopeRequired,
            .helloTimeout,
        ]
        for level in [RefusalCode.Level.tunnel, .session] {
            let received = Refusal(code, "because").received(at: level)
            #expect(received.message == "because")
            if isAboutTheLink.contains(code) { #expect(received.code.isTransient) }
        }
        #expect(Refusal(code, "because").received(at: .session).code.applies(to: .session))
    }

    @Test("what is final in answer to a tunnel request or a session hello is final still")
    func finalCodes() {
        for code in [RefusalCode.tokenExpired, .agentForbidden, .clientForbidden, .malformedMessage] {
            #expect(Refusal(code, "").received(at: .tunnel).code == code)
        }
        for code in [RefusalCode.unsupportedVersion, .targetForbidden, .malformedMessage] {
            #expect(Refusal(code, "").received(at: .session).code == code)
        }
        for code in [RefusalCode.tokenExpired, .agentForbidden, .clientForbidden] {
            #expect(Refusal(code, "").received(at: .session).code == .unknown)
        }
    }
}

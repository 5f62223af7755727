import TLSEngine
import TestSupport

/// The ways into a line: as a peer of the relay, and as a party of a session inside a tunnel.
extension FrameLine {
    /// Dials a relay.
    static func dialed(to relay: Relay, identity: Identity? = nil, receiveBuffer: Int32? = nil) throws -> FrameLine {
        let context = try TLSContext(
            role: .client, identity: identity ?? .generate(commonName: "attacker"), alpn: "adit/1")
        let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
        return try over(Connection(to: relay.port, receiveBuffer: receiveBuffer), tls: tls)
    }

    /// A client that the relay has let in by a valid token.
    static func client(
        _ subject: String = "attacker", of agents: [String] = ["honest"], at relay: Relay, in site: Site,
        receiveBuffer: Int32? = nil
    ) throws -> FrameLine {
        let line = try dialed(to: relay, receiveBuffer: receiveBuffer)
        try line.sayHello(role: "client", token: site.token(subject: subject, role: "client", agents: agents))
        return line
    }

    /// An agent that the relay has registered by a valid token.
    static func agent(_ id: String, at relay: Relay, in site: Site, identity: Identity? = nil) throws -> FrameLine {
        let line = try dialed(to: relay, identity: identity)
        try line.sayHello(role: "agent", token: site.token(subject: id, role: "agent"), agentID: id)
        return line
    }

    /// Says hello with the token in a file, and waits for the welcome.
    func sayHello(role: String, token file: String, agentID: String? = nil) throws {
        let token = try text(of: file).split(separator: "\n")[0]
        let id = agentID.map { #""agent_id":"\#($0)","# } ?? ""
        let hello = #"{\#(id)"role":"\#(role)","software":"test","token":"\#(token)","version":1}"#
        try send(.data(message(hello), on: 1, flags: Frame.syn))
        try awaitAnswer(on: 1)
    }

    /// Waits for `{"accepted":…}`, the first data on a stream.
    func awaitAnswer(on stream: UInt32) throws {
        let answer = try awaitFrame("an answer on stream \(stream)") { $0.isData(on: stream) }
        let text = String(decoding: answer.payload.dropFirst(2), as: UTF8.self)
        guard text.hasPrefix(#"{"accepted""#) else { throw ProcessError("refused: \(text)") }
    }

    /// Asks the relay for a tunnel and waits for the agent's answer.
    func openTunnel(to id: String = "honest", on stream: UInt32 = 3) throws {
        try send(.data(message(#"{"agent_id":"\#(id)"}"#), on: stream, flags: Frame.syn))
        try awaitAnswer(on: stream)
    }

    /// End-to-end TLS inside a tunnel stream of this line. Nobody may have sent TLS on the stream yet.
    func session(on stream: UInt32, role: TLSContext.Role, identity: Identity) throws -> FrameLine {
        let context = try TLSContext(role: role, identity: identity, alpn: "adit-e2e/1")
        let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
        // A little less than there is: the relay has taken the request from the stream's window.
        let credit = Monitor(200_000)
        let inner = FrameLine(
            tls: tls,
            transmit: { bytes in
                credit.change { $0 -= bytes.count }
                try self.send(.data(bytes, on: stream))
            },
            awaitRoom: { count in
                let room = credit.wait(within: .seconds(5)) { $0 == .min || $0 >= count ? $0 : nil }
                guard let room, room > .min else { throw ProcessError("no credit for the tunnel") }
            })
        listen(
            { frame in
                guard frame.stream == stream else { return }
                if frame.type == Frame.windowUpdate { credit.change { $0 += Int(frame.length) } }
                if frame.type == Frame.data { try? inner.feed(frame.payload) }
                if frame.flags & (Frame.reset | Frame.fin) != 0 {
                    credit.change { $0 = .min }
                    inner.ended("the tunnel's end")
                }
            },
            onEnd: {
                credit.change { $0 = .min }
                inner.ended($0)
            })
        // Room for whatever the other end has to say.
        try send(Frame(type: Frame.windowUpdate, stream: stream, length: 64 << 20))
        return inner
    }

    /// A tunnel and the session in it, up to the agent's welcome.
    func openSession(to id: String = "honest", on stream: UInt32 = 3, identity: Identity? = nil) throws -> FrameLine {
        try openTunnel(to: id, on: stream)
        let session = try session(on: stream, role: .client, identity: identity ?? .generate(commonName: "attacker"))
        try session.start()
        try session.send(.data(message(#"{"version":1}"#), on: 1, flags: Frame.syn))
        try session.awaitAnswer(on: 1)
        return session
    }
}

extension Frame {
    static let ack: UInt16 = 2
    static let fin: UInt16 = 4

    static func update(_ stream: UInt32, flags: UInt16 = 0, credit: UInt32 = 0) -> Frame {
        Frame(type: windowUpdate, flags: flags, stream: stream, length: credit)
    }

    static func ping(_ value: UInt32) -> Frame { Frame(type: ping, flags: syn, stream: 0, length: value) }

    func isData(on stream: UInt32) -> Bool { type == Frame.data && self.stream == stream && !payload.isEmpty }
}

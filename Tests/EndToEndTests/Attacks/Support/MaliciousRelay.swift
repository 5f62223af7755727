import Synchronization
import TLSEngine
import TestSupport

/// A relay that real agents and connects take for theirs, and that does to their tunnels what a test tells it to. It lets
/// everybody in, whatever the token.
final class MaliciousRelay: Sendable {
    /// A tunnel that it has spliced.
    struct Splice: Sendable {
        let client: FrameLine
        let clientStream: UInt32
        let agent: FrameLine
        let agentStream: UInt32
        let toAgent: RecordTap
        let toClient: RecordTap

        func tap(_ direction: Direction) -> RecordTap { direction == .toAgent ? toAgent : toClient }

        /// Sends bytes of the relay's own into the tunnel.
        func send(_ bytes: [UInt8], _ direction: Direction) {
            switch direction {
            case .toAgent: try? agent.send(.data(bytes, on: agentStream))
            case .toClient: try? client.send(.data(bytes, on: clientStream))
            }
        }

        func end(_ flag: UInt16) {
            try? agent.send(.update(agentStream, flags: flag))
            try? client.send(.update(clientStream, flags: flag))
        }
    }

    /// Instead of splicing: gets the client's line, and the stream on which it has asked for the agent.
    typealias Request = @Sendable (MaliciousRelay, FrameLine, UInt32, _ agentID: String) throws -> Void

    struct Behaviour: Sendable {
        /// Which agent a client gets that asks for one.
        var route: @Sendable (String) -> String = { $0 }
        /// Changes records of a direction before anything else is done to them.
        var edit: [Direction: @Sendable ([UInt8]) -> [UInt8]] = [:]
        var onRequest: Request?
        /// Instead of a welcome: what is said to a peer that has said hello.
        var onHello: (@Sendable (FrameLine) throws -> Void)?
    }

    private struct State {
        var agents: [String: FrameLine] = [:]
        var clients: [FrameLine] = []
        var splices: [Splice] = []
        var nextStream: UInt32 = 2
    }

    let identity: Identity
    private let listener: Listener
    private let behaviour: Mutex<Behaviour>
    private let state = Monitor(State())

    var address: String { "127.0.0.1:\(listener.port)" }

    init(_ behaviour: Behaviour = Behaviour(), alpn: String = "adit/1") throws {
        identity = try Identity.generate(commonName: "relay")
        listener = try Listener()
        self.behaviour = Mutex(behaviour)
        let context = try TLSContext(role: .server, identity: identity, alpn: alpn)
        startThread { [listener, weak self] in
            while let connection = try? listener.accept(within: .seconds(600)) {
                guard let self else { return }
                try? self.serve(connection, context)
            }
        }
    }

    deinit { listener.close() }

    func behave(_ change: @Sendable (inout Behaviour) -> Void) { behaviour.withLock { change(&$0) } }

    private func serve(_ connection: Connection, _ context: TLSContext) throws {
        let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
        let line = try FrameLine.over(connection, tls: tls) { [weak self] frame, line in
            try? self?.received(frame, from: line)
        }
        withExtendedLifetime(line) {}
    }

    private func received(_ frame: Frame, from line: FrameLine) throws {
        if frame.type == Frame.ping, frame.flags == Frame.syn {
            try line.send(Frame(type: Frame.ping, flags: Frame.ack, stream: 0, length: frame.length))
        }
        guard frame.stream > 0 else { return }
        if let splice = splice(of: line, frame.stream) { return pass(frame, of: splice, from: line) }
        guard frame.type == Frame.data, !frame.payload.isEmpty else { return }
        let json = String(decoding: frame.payload.dropFirst(2), as: UTF8.self)
        let parts = json.split(separator: #""agent_id":""#, maxSplits: 1, omittingEmptySubsequences: false)
        let id = parts.count == 2 ? String(parts[1].prefix { $0 != "\"" }) : nil
        if frame.stream == 1 {
            state.change { state in
                if json.contains(#""role":"agent""#), let id { state.agents[id] = line }
                if json.contains(#""role":"client""#) { state.clients.append(line) }
            }
            if let onHello = behaviour.withLock({ $0.onHello }) { return try onHello(line) }
            try line.send(.data(message(#"{"accepted":{"software":"test"}}"#), on: 1, flags: Frame.ack))
        } else if let id {
            let onRequest = behaviour.withLock { $0.onRequest } ?? { try $0.splice($1, $2, $3) }
            try onRequest(self, line, frame.stream, id)
        }
    }

    // MARK: Tunnels

    /// What an honest relay would do, as far as anybody can see.
    func splice(_ client: FrameLine, _ stream: UInt32, _ id: String) throws {
        let behaviour = behaviour.withLock { $0 }
        guard let agent = agent(behaviour.route(id)) else {
            return try client.send(
                .data(
                    message(#"{"refused":{"code":"agent_not_found","message":"none"}}"#), on: stream, flags: Frame.ack))
        }
        let splice = Splice(
            client: client, clientStream: stream, agent: agent, agentStream: nextStream(),
            toAgent: RecordTap(.toAgent, edit: behaviour.edit[.toAgent]),
            toClient: RecordTap(.toClient, edit: behaviour.edit[.toClient]))
        state.change { $0.splices.append(splice) }
        // Neither is ever held up for want of credit.
        try client.send(.update(stream, flags: Frame.ack, credit: 64 << 20))
        try offer(to: agent, on: splice.agentStream)
    }

    /// Offers an agent a tunnel, in a client's name.
    func offer(to agent: FrameLine, on stream: UInt32, clientID: String = "laptop", more: String = "") throws {
        try agent.send(
            .update(stream, flags: Frame.syn, credit: 64 << 20),
            .data(message(#"{"client_address":"192.0.2.1","client_id":"\#(clientID)"\#(more)}"#), on: stream))
    }

    func nextStream() -> UInt32 {
        state.change { state in
            defer { state.nextStream += 2 }
            return state.nextStream
        }
    }

    private func splice(of line: FrameLine, _ stream: UInt32) -> Splice? {
        state.change { state in
            state.splices.first {
                $0.client === line && $0.clientStream == stream || $0.agent === line && $0.agentStream == stream
            }
        }
    }

    private func pass(_ frame: Frame, of splice: Splice, from line: FrameLine) {
        let direction: Direction = line === splice.client ? .toAgent : .toClient
        if frame.type == Frame.data {
            let bytes = splice.tap(direction).pass(frame.payload)
            if !bytes.isEmpty { splice.send(bytes, direction) }
        }
        for flag in [Frame.fin, Frame.reset] where frame.flags & flag != 0 {
            switch direction {
            case .toAgent: try? splice.agent.send(.update(splice.agentStream, flags: flag))
            case .toClient: try? splice.client.send(.update(splice.clientStream, flags: flag))
            }
        }
    }

    // MARK: What it sees

    /// Nil when there is none any more.
    func agent(_ id: String) -> FrameLine? { state.change { $0.agents[id] }.flatMap { $0.end == nil ? $0 : nil } }

    func awaitAgent(_ id: String) throws -> FrameLine {
        guard let agent = state.wait(within: Process.patience, { $0.agents[id] }) else {
            throw ProcessError("no agent \(id)")
        }
        return agent
    }

    func awaitClient() throws -> FrameLine {
        guard let client = state.wait(within: Process.patience, { $0.clients.last }) else {
            throw ProcessError("no client")
        }
        return client
    }

    /// The nth tunnel that it has spliced.
    func awaitSplice(_ number: Int = 1) throws -> Splice {
        let found = state.wait(within: Process.patience) { $0.splices.count >= number ? $0.splices[number - 1] : nil }
        guard let found else { throw ProcessError("no tunnel \(number)") }
        return found
    }
}

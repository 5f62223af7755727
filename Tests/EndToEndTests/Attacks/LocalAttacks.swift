import TestSupport
import Testing

/// A program on the laptop that may reach connect's port, and does not mean well.
@Suite(.serialized) struct `a hostile local user of connect's port` {
    private let scene: HonestScene

    init() throws {
        scene = try HonestScene()
    }

    @Test func `with a thousand silent connections holds up nobody, and leaves nothing behind`() throws {
        try scene.honest.connect.stays(within: 64 << 20) {
            let connections = try (0..<1000).map { _ in try Connection(to: scene.honest.port) }
            #expect(eventually { scene.honest.echo.connections >= 1000 })
            try scene.honest.check()
            for connection in connections { try connection.reset() }
        }
        try scene.honest.check()
    }

    @Test func `who resets at once, again and again, holds up nobody`() throws {
        let descriptors = try names(in: "/proc/\(scene.honest.agent.processID)/fd").count
        for _ in 0..<2000 { try Connection(to: scene.honest.port).reset() }
        try scene.honest.check()
        #expect(try eventually { try names(in: "/proc/\(scene.honest.agent.processID)/fd").count <= descriptors + 2 })
    }

    @Test func `who finishes at once gets the end of what the target says`() throws {
        for _ in 0..<100 {
            let connection = try Connection(to: scene.honest.port)
            try connection.finishSending()
            #expect(try connection.receiveToAnyEnd().bytes.isEmpty)
        }
        try scene.honest.check()
    }

    @Test func `with more connections than may wait for a session has the rest reset, and those that waited served`()
        throws
    {
        let echo = try RecordingEcho()
        let place = try Listener(listening: false)
        let port = place.port
        place.close()
        let connect = try scene.site.connect(to: "late", at: scene.relay.address, local: "127.0.0.1:\(port)")
        try connect.errors.waitForLine(containing: "Agent not found: late")
        var waiting: [Connection] = []
        try connect.stays(within: 32 << 20) {
            waiting = try (0..<400).map { _ in
                let connection = try Connection(to: port)
                try connection.send("early")
                return connection
            }
            try connect.errors.waitForLine(
                containing: "Connection refused: reason=no session with the agent", occurrence: 400 - 256)
        }
        let agent = try scene.site.registeredAgent(
            "late", at: scene.relay.address, target: echo.address, state: "late-agent")
        try connect.waitForTunnel()
        #expect(try waiting[0].receive(exactly: 5) == Array("early".utf8))
        #expect(try waiting[399].receiveToAnyEnd().wasReset)
        withExtendedLifetime(agent) {}
    }
}

/// What a service behind the agent does with each connection.
enum ServiceCrime: CaseIterable, Sendable {
    case neverReads, sendsForever, resetsAtOnce, resetsInTheMiddle, closesAtOnce, sendsAndNeverReads

    func serve(_ connection: Connection) throws {
        let bytes = [UInt8](repeating: 7, count: 1 << 20)
        switch self {
        case .neverReads: try connection.waitForEnd()
        case .sendsForever: while true { try connection.send(bytes) }
        case .resetsAtOnce: try connection.reset()
        case .resetsInTheMiddle:
            try connection.send(bytes)
            try connection.reset()
        case .closesAtOnce: break
        case .sendsAndNeverReads: for _ in 0..<1000 { try connection.send(bytes) }
        }
    }
}

extension Connection {
    /// Does nothing for a minute at most.
    fileprivate func waitForEnd() throws { _ = eventually { false } }
}

@Suite(.serialized) struct `a hostile service behind an agent` {
    private let scene: HonestScene

    init() throws {
        scene = try HonestScene()
    }

    @Test(arguments: ServiceCrime.allCases)
    func `costs all three bounded memory, and nobody else notices`(crime: ServiceCrime) throws {
        let service = try Service { try crime.serve($0) }
        let agent = try scene.site.registeredAgent(
            at: scene.relay.address, target: "127.0.0.1:\(service.port)", state: "other-agent")
        let connect = try scene.site.connect(at: scene.relay.address, state: "other-connect")
        let port = try connect.waitForTunnel()
        try agent.stays(within: 64 << 20) {
            try connect.stays(within: 64 << 20) {
                try scene.relay.process.stays(within: 64 << 20) {
                    let users = try (0..<8).map { _ in try Connection(to: port, receiveBuffer: 4096) }
                    // Users who neither read nor stop: what they send ends somewhere.
                    let senders = users.map { user in
                        Background { for _ in 0..<64 { try user.send(Array(repeating: 1, count: 1 << 20)) } }
                    }
                    for _ in 0..<20 { try scene.honest.check() }
                    for user in users { try? user.reset() }
                    withExtendedLifetime(senders) {}
                }
            }
        }
        #expect(agent.end == nil && connect.end == nil)
        try scene.honest.check()
    }
}

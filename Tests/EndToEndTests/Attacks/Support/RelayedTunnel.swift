import TestSupport

/// A real agent and a real connect, between them a relay that is not what they take it for.
final class RelayedTunnel: Sendable {
    let site: Site
    let relay: MaliciousRelay
    let echo: RecordingEcho
    let agent: Process
    let connect: Process
    let port: UInt16

    init(_ behaviour: MaliciousRelay.Behaviour = .init()) throws {
        site = try Site()
        relay = try MaliciousRelay(behaviour)
        echo = try RecordingEcho()
        agent = try site.registeredAgent(at: relay.address, target: echo.address)
        connect = try site.connect(at: relay.address)
        port = try connect.waitForTunnel()
    }

    /// The end at which tampering with a direction must show.
    func victim(of direction: Direction) -> Process { direction == .toAgent ? agent : connect }

    /// How the log line begins with which that end says that a session is over.
    static func lineOfEnd(at direction: Direction) -> String {
        direction == .toAgent ? "Session ended: client-id=laptop, reason=" : "Disconnected: "
    }
}

import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What an agent can lead to: something that listens on 127.0.0.1.
protocol Target: AnyObject, Sendable {
    var port: UInt16 { get }
}

/// Runs `body` with a tunnel to `target`, and ends the tunnel in good order.
///
/// Swift lets go of an object after its last use, and with a tunnel's last reference its parties die: `body` is what
/// keeps both ends alive for as long as connections are in use.
///
/// - Throws: What `body` throws, with the parties' logs; `ProcessError` when a party does not start, or does not end
///   with status 0 when told to.
func withTunnel<Result>(
    to target: any Target, local: String = "127.0.0.1:0", _ body: (Tunnel) throws -> Result
) throws -> Result {
    let tunnel = try Tunnel.start(target: target, local: local)
    let result: Result
    do {
        result = try body(tunnel)
    } catch {
        throw ProcessError("\(error)\n\(tunnel.transcript)")
    }
    try tunnel.stop()
    return result
}

/// Relay, agent and connect in front of a target, each with fresh keys and a token of its own. What still runs when the
/// last reference goes is killed.
final class Tunnel: Sendable {
    let target: any Target
    let site: Site
    let relay: Relay
    let agent: Process
    let connect: Process
    /// Also something that the relay knows and nobody else would come up with.
    let agentID: String
    /// Connect's local port, on 127.0.0.1 unless the start said otherwise.
    let port: UInt16

    /// Starts a tunnel and waits until it is ready. Where `withTunnel` will do, prefer it.
    ///
    /// - Parameter local: Where connect listens.
    /// - Throws: `ProcessError` with the parties' logs when one of them does not get there in time.
    static func start(target: any Target, local: String = "127.0.0.1:0") throws -> Tunnel {
        let site = try Site()
        let agentID = "agent-" + randomHex(bytes: 12)
        let relay = try site.relay()
        let agent = try site.agent(
            agentID, relay: relay.port, target: "127.0.0.1:\(target.port)",
            token: site.token("--role", "agent", "--sub", agentID))
        let token = try site.token("--role", "client", "--sub", "laptop", "--agent", agentID)
        do {
            try agent.waitUntilRegistered()
            let connect = try site.connect(agentID, relay: relay.port, token: token, local: local)
            return Tunnel(
                target: target, site: site, relay: relay, agent: agent, connect: connect, agentID: agentID,
                port: try connect.waitForTunnel())
        } catch {
            throw ProcessError("\(error)\nrelay:\n\(relay.process.transcript)\nagent:\n\(agent.transcript)")
        }
    }

    private init(
        target: any Target, site: Site, relay: Relay, agent: Process, connect: Process, agentID: String, port: UInt16
    ) {
        self.target = target
        self.site = site
        self.relay = relay
        self.agent = agent
        self.connect = connect
        self.agentID = agentID
        self.port = port
    }

    var parties: [(name: String, process: Process)] {
        [("relay", relay.process), ("agent", agent), ("connect", connect)]
    }

    /// What all three have written, to go with a failure.
    var transcript: String {
        parties.map { "\($0.name):\n\($0.process.transcript)" }.joined(separator: "\n")
    }

    /// Opens a connection through the tunnel.
    func open() throws -> Connection {
        try Connection(to: port)
    }

    /// Ends all three in good order, client's side first.
    ///
    /// - Throws: `ProcessError` when one does not end, or not with status 0.
    func stop() throws {
        for (name, process) in parties.reversed() {
            process.send(SIGTERM)
            let end = try process.wait()
            guard end == .exited(0) else { throw ProcessError("\(name) ended with \(end)\n\(process.transcript)") }
        }
    }
}

import Agent
import ArgumentParser
import CSandbox
import Connect
import EndToEnd
import Logging
import NIOCore
import Synchronization
import TLSEngine
import Transport
import Wire

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Many agents, or many connects, in one process and on one event loop. With it adit-bench measures many tunnels without a
/// process for each end: what a thousand tunnels cost the relay is not what a thousand processes cost two CPUs.
@main
struct Crowd: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Many agents, or many connects, in one process: for adit-bench.",
        subcommands: [Agents.self, Connects.self])
}

extension Crowd {
    /// Agents `agent-0` and so on, which offer the same service and have the same key.
    struct Agents: AsyncParsableCommand {
        @OptionGroup var members: Members
        @Option var targetAddress: HostPort

        /// Prints the key that all have, and, once the last of them is registered, that they are.
        func run() async throws {
            let identity = try Identity.generate(commonName: "crowd")
            say("Agent key: \(identity.fingerprint)")
            let registered = Mutex<Set<AgentID>>([])
            try await members.run { number, eventLoop in
                guard let agentID = AgentID("agent-\(number)") else { return }
                let agent = Agent(
                    configuration: AgentConfiguration(
                        relay: members.relay, agentID: agentID, target: targetAddress, identity: identity,
                        relayTrust: .pinned(members.relayKey), token: members.tokenSource, authorizedClients: nil,
                        allowedClients: nil, mostForwards: AgentSession.mostForwards),
                    logger: Logger(label: "crowd")
                ) { event in
                    guard case .registered = event else { return }
                    let count = registered.withLock {
                        $0.insert(agentID)
                        return $0.count
                    }
                    if count == members.count { say("Agents registered: \(count)") }
                }
                try await agent.run(on: eventLoop)
            }
        }
    }

    /// Connects that share a key: one tunnel each, by turns to the agents of a crowd.
    struct Connects: AsyncParsableCommand {
        @OptionGroup var members: Members
        @Option var agents: Int
        @Option var agentKey: Fingerprint

        /// Prints the local ports of all tunnels in one line, once the last of them is ready.
        func run() async throws {
            let identity = try Identity.generate(commonName: "crowd")
            let ports = Mutex<[Int: UInt16]>([:])
            try await members.run { number, eventLoop in
                guard let agentID = AgentID("agent-\(number % agents)") else { return }
                let connect = Connect(
                    configuration: ConnectConfiguration(
                        relay: members.relay, agentID: agentID, local: HostPort(host: "127.0.0.1", port: 0),
                        remote: nil, identity: identity, relayTrust: .pinned(members.relayKey),
                        agentTrust: .pinned(agentKey), token: members.tokenSource, exitOnFailure: true),
                    logger: Logger(label: "crowd")
                ) { event in
                    guard case .ready(let local, _) = event else { return }
                    let all = ports.withLock {
                        $0[number] = local.port
                        return $0.count == members.count ? $0.values.map(\.description) : nil
                    }
                    if let all { say("Tunnels ready: \(all.joined(separator: " "))") }
                }
                try await connect.run(on: eventLoop)
            }
        }
    }

    /// How many there are, and what all have in common.
    struct Members: ParsableArguments {
        @Option var count: Int
        @Option var relay: HostPort
        @Option var relayKey: Fingerprint
        @Option var token: String

        var tokenSource: TokenSource { { [token] in BearerToken(token) } }

        /// Runs `member` for each number below `count`, on one event loop, until the first ends. None should.
        func run(_ member: @escaping @Sendable (Int, any EventLoop) async throws -> Void) async throws {
            // As the roles do.
            _ = adit_keep_little_freed_memory()
            try await withEventLoops(1) { group in
                let eventLoop = group.any()
                try await withThrowingTaskGroup { running in
                    for number in 0..<count { running.addTask { try await member(number, eventLoop) } }
                    try await running.next()
                    throw MemberEnded()
                }
            }
        }
    }
}

private func say(_ line: String) {
    print(line)
    fflush(nil)
}

private struct MemberEnded: Error {}

extension HostPort: ExpressibleByArgument {}
extension Fingerprint: ExpressibleByArgument {}

import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A tunnel of somebody who does nothing wrong, with one connection through it that is open all the time and in use:
/// whatever a stranger does to the relay must not show here.
final class HonestTunnel: Sendable {
    let echo: CountedEcho
    let agent: Process
    let connect: Process
    let port: UInt16
    private let pulse: Pulse

    init(in site: Site, at relay: Relay, id: String = "honest") throws {
        echo = try CountedEcho()
        agent = try site.registeredAgent(id, at: relay.address, target: echo.address, state: "honest-agent")
        connect = try site.connect(to: id, at: relay.address, state: "honest-connect")
        port = try connect.waitForTunnel()
        pulse = Pulse(try Connection(to: port))
    }

    deinit { pulse.stop() }

    /// Waits for one more echo on the connection that was there from the beginning, and for one on a new connection.
    ///
    /// - Throws: `ProcessError` when any echo so far has failed or taken longer than 5 s.
    func check() throws {
        try pulse.awaitEcho()
        guard try Connection(to: port).echoes("a new connection") else {
            throw ProcessError("the echo of a new connection is wrong")
        }
    }
}

/// Says something to an echo again and again.
private final class Pulse: Sendable {
    private struct State {
        var count = 0
        var isStopped = false
        var failure: String?
    }

    private let state: Shared

    /// Captured by the thread, which must not hold the pulse itself.
    private final class Shared: Sendable {
        let value = Mutex(State())
    }

    init(_ connection: Connection) {
        let state = Shared()
        self.state = state
        startThread {
            do {
                while !state.value.withLock({ $0.isStopped }) {
                    let time = try elapsed {
                        guard try connection.echoes("still here") else { throw ProcessError("the echo is wrong") }
                    }
                    guard time < .seconds(5) else { throw ProcessError("an echo took \(time)") }
                    state.value.withLock { $0.count += 1 }
                    poll(nil, 0, 5)
                }
            } catch {
                state.value.withLock { $0.failure = "\(error)" }
            }
        }
    }

    func stop() {
        state.value.withLock { $0.isStopped = true }
    }

    func awaitEcho() throws {
        let before = state.value.withLock { $0.count }
        let hasEchoed = try eventually(within: .seconds(10)) {
            try state.value.withLock { state in
                if let failure = state.failure {
                    throw ProcessError("the honest tunnel failed after \(state.count) echoes: \(failure)")
                }
                return state.count > before
            }
        }
        guard hasEchoed else { throw ProcessError("no echo on the honest tunnel for 10 s") }
    }
}

/// How long something took.
func elapsed(_ body: () throws -> Void) rethrows -> Duration {
    try ContinuousClock().measure(body)
}

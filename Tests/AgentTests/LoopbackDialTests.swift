import NIOCore
import NIOPosix
import Testing
import Wire

@testable import Agent

/// What an agent dials, whatever it was told and whoever told it.
@Suite struct `an agent's dial` {
    @Test(arguments: ["192.0.2.1", "0.0.0.0", "::ffff:127.0.0.1", "example.com"])
    func `goes to its own machine only`(host: String) throws {
        let eventLoop = MultiThreadedEventLoopGroup.singleton.any()
        let refusals = try eventLoop.submit {
            // What is forbidden is told at once; a dial that began would have failed otherwise, or still be under way.
            var refusals: [RefusalCode] = []
            LoopbackDial(HostPort(host: host, port: 80), on: eventLoop).connect {
                if case .failure(let refusal) = $0 { refusals.append(refusal.code) }
            }
            return refusals
        }.wait()
        #expect(refusals == [.targetForbidden])
    }
}

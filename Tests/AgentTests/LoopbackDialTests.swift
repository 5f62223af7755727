import NIOCore
import Testing
import Wire

@testable import Agent

/// What an agent dials, whatever it was told and whoever told it.
@Suite struct `an agent's dial` {
    @Test(arguments: [
        ("localhost", ["127.0.0.1", "::1"]), ("LocalHost", ["127.0.0.1", "::1"]), ("127.0.0.1", ["127.0.0.1"]),
        ("127.1.2.3", ["127.1.2.3"]), ("::1", ["::1"]),
    ])
    func `goes to this machine`(host: String, addresses: [String]) {
        #expect(LoopbackDial.addresses(of: HostPort(host: host, port: 80)).map(\.ipAddress) == addresses)
    }

    @Test(arguments: [
        "192.0.2.1", "0.0.0.0", "128.0.0.1", "::", "::2", "::ffff:127.0.0.1", "2001:db8::1",
        "example.com", "localhost.", "127.1", "",
    ])
    func `goes nowhere else, and resolves no name`(host: String) {
        #expect(LoopbackDial.addresses(of: HostPort(host: host, port: 80)).isEmpty)
    }
}

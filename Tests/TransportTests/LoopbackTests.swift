import NIOCore
import Testing
import Transport
import Wire

/// An agent dials what is on loopback, and nothing else.
@Suite struct LoopbackTests {
    @Test(arguments: ["127.0.0.1", "127.0.0.0", "127.255.255.255", "::1", "0:0:0:0:0:0:0:1"])
    func `loopback`(address: String) throws {
        #expect(try SocketAddress(ipAddress: address, port: 80).isLoopback)
    }

    @Test(arguments: [
        "0.0.0.0", "126.255.255.255", "128.0.0.1", "1.0.0.127", "10.0.0.1", "::", "::2", "100::1", "::1:1",
        "::127.0.0.1", "::ffff:127.0.0.1", "fe80::1",
    ])
    func `elsewhere`(address: String) throws {
        #expect(try !SocketAddress(ipAddress: address, port: 80).isLoopback)
    }

    @Test func `a path is not on loopback`() throws {
        #expect(try !SocketAddress(unixDomainSocketPath: "/run/postgresql/.s.PGSQL.5432").isLoopback)
    }

    @Test(arguments: [
        ("localhost", ["127.0.0.1", "::1"]), ("LocalHost", ["127.0.0.1", "::1"]), ("127.0.0.1", ["127.0.0.1"]),
        ("127.1.2.3", ["127.1.2.3"]), ("::1", ["::1"]),
    ])
    func `a host written as an address of this machine has these`(host: String, addresses: [String]) {
        #expect(HostPort(host: host, port: 80).loopbackAddresses.map(\.ipAddress) == addresses)
    }

    @Test(arguments: [
        "192.0.2.1", "0.0.0.0", "128.0.0.1", "::", "::2", "::ffff:127.0.0.1", "2001:db8::1",
        "::1%lo", "::1%1", "example.com", "localhost.", "127.1", "",
    ])
    func `a host elsewhere has no address on loopback, and no name is resolved`(host: String) {
        #expect(HostPort(host: host, port: 80).loopbackAddresses.isEmpty)
    }
}

import NIOCore
import Testing
import Transport

/// An agent dials what is on loopback, and nothing else.
@Suite struct SocketAddressTests {
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
}

package import NIOCore
package import Wire

extension SocketAddress {
    /// Whether it is an address of this machine that never leaves it: 127.0.0.0/8 (RFC 1122 §3.2.1.3) or ::1
    /// (RFC 4291 §2.5.3). An agent dials no others. IPv4 addresses mapped to IPv6 are not.
    package var isLoopback: Bool {
        // NIO prints the binary address anew, in its one canonical form.
        switch self {
        case .v4: ipAddress?.hasPrefix("127.") == true
        case .v6: ipAddress == "::1"
        case .unixDomainSocket: false
        }
    }
}

extension HostPort {
    /// Its addresses on loopback; none when it is elsewhere. `localhost` is both families, whatever a hosts file says, and
    /// everything else must be a literal, without a zone (RFC 4007 §11), which loopback has no use for.
    package var loopbackAddresses: [SocketAddress] {
        guard !host.contains("%") else { return [] }
        let hosts = host.lowercased() == "localhost" ? ["127.0.0.1", "::1"] : [host]
        return hosts.compactMap { try? SocketAddress(ipAddress: $0, port: Int(port)) }.filter(\.isLoopback)
    }
}

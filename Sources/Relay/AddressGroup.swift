import NIOCore

/// Whose share an address counts toward: an IPv4 address by itself, an IPv6 one with its /64, which is the least that one
/// customer of a provider has.
enum AddressGroup: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt64)
    /// All that have neither.
    case other

    init(_ address: SocketAddress?) {
        // Where the address lies in `sockaddr_in` and `sockaddr_in6`.
        switch address {
        case .v4(let ip4)?:
            self = .v4(AddressGroup.number(in: .v4(ip4), at: 4, UInt32.self))
        case .v6(let ip6)?:
            let high = AddressGroup.number(in: .v6(ip6), at: 8, UInt64.self)
            let low = AddressGroup.number(in: .v6(ip6), at: 16, UInt64.self)
            // IPv4 as a socket of both families shows it: ::ffff:0:0/96 (RFC 4291 §2.5.5.2).
            self = high == 0 && low >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high)
        case .unixDomainSocket?, nil:
            self = .other
        }
    }

    private static func number<Number: FixedWidthInteger & BitwiseCopyable>(
        in address: SocketAddress, at offset: Int, _ type: Number.Type
    ) -> Number {
        address.withSockAddr { bytes, size in
            guard offset + MemoryLayout<Number>.size <= size else { return 0 }
            return unsafe Number(
                bigEndian: UnsafeRawPointer(bytes).loadUnaligned(fromByteOffset: offset, as: Number.self))
        }
    }
}

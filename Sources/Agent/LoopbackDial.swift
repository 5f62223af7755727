import NIOCore
import NIOPosix
import Transport
import Wire

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Dials a target on this machine, and nothing else: what counts is the address that is dialed, never a name.
struct LoopbackDial {
    private static let timeout = TimeAmount.seconds(10)

    private let target: HostPort
    private let addresses: [SocketAddress]
    private let eventLoop: any EventLoop

    init(_ target: HostPort, on eventLoop: any EventLoop) {
        self.target = target
        addresses = Loopback.addresses(of: target)
        self.eventLoop = eventLoop
    }

    /// Calls `done` on the event loop, with a channel that does not read yet or with what to tell the client.
    func connect(_ done: @escaping (Result<any Channel, Refusal>) -> Void) {
        guard !addresses.isEmpty else {
            return done(.failure(Refusal(.targetForbidden, "\(target) is not an address of the agent's own machine")))
        }
        attempt(addresses[...], done)
    }

    private func attempt(
        _ addresses: ArraySlice<SocketAddress>, _ done: @escaping (Result<any Channel, Refusal>) -> Void
    ) {
        guard let address = addresses.first else { return }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(LoopbackDial.timeout)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try Socket.configure(channel, firstRead: .forward) }
            }
            .connect(to: address)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success(let channel):
                    done(self.checked(channel))
                case .failure(let error):
                    let rest = addresses.dropFirst()
                    if rest.isEmpty { done(.failure(self.refusal(for: error))) } else { self.attempt(rest, done) }
                }
            }
    }

    /// A connection to a free port of the ephemeral range may meet itself: that is nobody's service.
    private func checked(_ channel: any Channel) -> Result<any Channel, Refusal> {
        guard let remote = channel.remoteAddress, Loopback.contains(remote), remote != channel.localAddress else {
            channel.close(promise: nil)
            return .failure(Refusal(.targetRefused, "\(target): connection refused"))
        }
        return .success(channel)
    }

    private func refusal(for error: any Error) -> Refusal {
        if let error = error as? IOError, error.errnoCode == ECONNREFUSED {
            return Refusal(.targetRefused, "\(target): connection refused")
        }
        return Refusal(.targetUnreachable, "\(target): \(Link.reason(of: error))")
    }
}

/// The addresses of this machine that never leave it.
enum Loopback {
    /// `localhost` is both families, whatever a hosts file says; everything else must be a literal.
    static func addresses(of target: HostPort) -> [SocketAddress] {
        let hosts = target.host.lowercased() == "localhost" ? ["127.0.0.1", "::1"] : [target.host]
        return hosts.compactMap { try? SocketAddress(ipAddress: $0, port: Int(target.port)) }.filter(contains)
    }

    /// 127.0.0.0/8 (RFC 1122 §3.2.1.3) and ::1 (RFC 4291 §2.5.3).
    static func contains(_ address: SocketAddress) -> Bool {
        switch address {
        // NIO prints the binary address anew, in its one canonical form.
        case .v4: address.ipAddress?.hasPrefix("127.") == true
        case .v6: address.ipAddress == "::1"
        case .unixDomainSocket: false
        }
    }
}

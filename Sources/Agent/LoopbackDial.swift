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

    /// Calls `done` on the event loop, with a channel that reads from the loop's next turn on or with what to tell the client.
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
        channel(to: address).assumeIsolated().whenComplete { result in
            switch result {
            case .success(let channel):
                done(self.checked(channel))
            case .failure(let error):
                let rest = addresses.dropFirst()
                if rest.isEmpty { done(.failure(self.refusal(for: error))) } else { self.attempt(rest, done) }
            }
        }
    }

    private func channel(to address: SocketAddress) -> EventLoopFuture<any Channel> {
        let bootstrap = ClientBootstrap(group: eventLoop)
            .connectTimeout(LoopbackDial.timeout)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try Socket.configure(channel, for: .forward) }
            }
        do {
            guard let socket = try address.connectedSocket() else { return bootstrap.connect(to: address) }
            return bootstrap.withConnectedSocket(socket)
        } catch {
            return eventLoop.makeFailedFuture(error)
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

extension SocketAddress {
    /// A socket that is connected already, or nil where that takes time: on loopback a connection is there when connect(2)
    /// returns unless the listener's queue is full. The caller owns the descriptor, which does not block.
    ///
    /// The way through NIO's selector costs a fifth of all that an agent does for a short connection. Throws `IOError`.
    fileprivate func connectedSocket() throws -> NIOBSDSocket.Handle? {
        #if canImport(Glibc)
        let type = CInt(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(`protocol`.rawValue, type, 0)
        guard descriptor >= 0 else { throw IOError(errnoCode: errno, reason: "socket") }
        // The first call begins; what came of it is for the second to say.
        for _ in 1...2 {
            guard withSockAddr({ connect(descriptor, $0, socklen_t($1)) }) != 0 else { return descriptor }
            let code = errno
            guard code == EINPROGRESS || code == EALREADY else {
                close(descriptor)
                throw IOError(errnoCode: code, reason: "connect")
            }
        }
        close(descriptor)
        #endif
        return nil
    }
}

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

    /// Calls `done` on the event loop, perhaps before it returns, with what to tell the client or with a channel, which
    /// reads nothing before the loop's next turn.
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
        open(address) { result in
            switch result {
            case .success(let channel):
                done(self.checked(channel))
            case .failure(let error):
                let rest = addresses.dropFirst()
                if rest.isEmpty { done(.failure(self.refusal(for: error))) } else { self.attempt(rest, done) }
            }
        }
    }

    // MARK: Socket

    /// On loopback a connection is there when connect(2) returns, if the listener has room for it and the kernel leaves
    /// no packets for later. So there is nothing that NIO's selector would have to watch: connect(2) itself is asked.
    private func open(_ address: SocketAddress, _ done: @escaping (Result<any Channel, any Error>) -> Void) {
        #if canImport(Glibc)
        let type = CInt(SOCK_STREAM.rawValue)
        #else
        let type = SOCK_STREAM
        #endif
        let descriptor = socket(address.protocol.rawValue, type, 0)
        guard descriptor >= 0, fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0 else {
            let error = IOError(errnoCode: errno, reason: "socket")
            if descriptor >= 0 { close(descriptor) }
            return done(.failure(error))
        }
        ask(descriptor, to: address, until: .now() + LoopbackDial.timeout, done)
    }

    /// The first call begins, and each later one tells what came of it. Another socket in its place will not do: the
    /// target may have taken this one's connection.
    private func ask(
        _ descriptor: NIOBSDSocket.Handle, to address: SocketAddress, until deadline: NIODeadline, calls: Int = 1,
        _ done: @escaping (Result<any Channel, any Error>) -> Void
    ) {
        let code = address.withSockAddr { systemConnect(descriptor, $0, socklen_t($1)) } == 0 ? 0 : errno
        switch code {
        case 0, EISCONN:
            ClientBootstrap(group: eventLoop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture { try Socket.configure(channel, for: .forward) }
                }
                .withConnectedSocket(descriptor)
                .assumeIsolated().whenComplete(done)
        case EINPROGRESS where calls == 1:
            ask(descriptor, to: address, until: deadline, calls: 2, done)
        case EINPROGRESS, EALREADY:
            guard NIODeadline.now() < deadline else {
                close(descriptor)
                return done(.failure(IOError(errnoCode: ETIMEDOUT, reason: "connect")))
            }
            // After 4 µs, and twice as long each time, up to 66 ms.
            eventLoop.assumeIsolated().scheduleTask(in: .microseconds(1 << min(calls, 16))) {
                self.ask(descriptor, to: address, until: deadline, calls: calls + 1, done)
            }
        default:
            close(descriptor)
            done(.failure(IOError(errnoCode: code, reason: "connect")))
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

/// connect(2), whose name the method above has taken.
private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ count: socklen_t) -> CInt {
    connect(descriptor, address, count)
}

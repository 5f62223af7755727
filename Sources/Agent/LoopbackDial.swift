import NIOCore
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
        addresses = target.loopbackAddresses
        self.eventLoop = eventLoop
    }

    /// Calls `done` on the event loop, perhaps before it returns, with what to tell the client or with the descriptor of a
    /// connected, non-blocking socket, which is the caller's from then on.
    func connect(_ done: @escaping (Result<CInt, Refusal>) -> Void) {
        guard !addresses.isEmpty else {
            return done(.failure(Refusal(.targetForbidden, "\(target) is not an address of the agent's own machine")))
        }
        attempt(addresses[...], done)
    }

    private func attempt(_ addresses: ArraySlice<SocketAddress>, _ done: @escaping (Result<CInt, Refusal>) -> Void) {
        guard let address = addresses.first else { return }
        open(address) { result in
            switch result {
            case .success(let descriptor):
                done(self.checked(descriptor, dialed: address))
            case .failure(let error):
                let rest = addresses.dropFirst()
                if rest.isEmpty { done(.failure(self.refusal(for: error))) } else { self.attempt(rest, done) }
            }
        }
    }

    // MARK: Socket

    private func open(_ address: SocketAddress, _ done: @escaping (Result<CInt, any Error>) -> Void) {
        do {
            ask(try Socket.make(for: address), to: address, until: .now() + LoopbackDial.timeout, done)
        } catch {
            done(.failure(error))
        }
    }

    /// On loopback a connection is there when connect(2) returns, if the listener has room for it and the kernel leaves
    /// no packets for later. The first call begins, and each later one tells what came of it. Another socket in its place
    /// will not do: the target may have taken this one's connection.
    private func ask(
        _ descriptor: CInt, to address: SocketAddress, until deadline: NIODeadline, calls: Int = 1,
        _ done: @escaping (Result<CInt, any Error>) -> Void
    ) {
        let code = address.withSockAddr { systemConnect(descriptor, $0, socklen_t($1)) } == 0 ? 0 : errno
        switch code {
        case 0, EISCONN:
            done(.success(descriptor))
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
    private func checked(_ descriptor: CInt, dialed address: SocketAddress) -> Result<CInt, Refusal> {
        guard let local = Socket.localAddress(of: descriptor), local != address else {
            close(descriptor)
            return .failure(Refusal(.targetRefused, "\(target): connection refused"))
        }
        return .success(descriptor)
    }

    private func refusal(for error: any Error) -> Refusal {
        if let error = error as? IOError, error.errnoCode == ECONNREFUSED {
            return Refusal(.targetRefused, "\(target): connection refused")
        }
        return Refusal(.targetUnreachable, "\(target): \(Link.reason(of: error))")
    }
}

/// connect(2), whose name the method above has taken.
private func systemConnect(_ descriptor: CInt, _ address: UnsafePointer<sockaddr>, _ count: socklen_t) -> CInt {
    connect(descriptor, address, count)
}

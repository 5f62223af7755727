import CPoller
package import NIOCore

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// A listening TCP socket, whose connections are to be forwarded.
///
/// Loop-bound.
package final class ForwardListener {
    private static let queue: CInt = 1024
    /// Accepted in one turn of the event loop.
    private static let mostAtOnce = 64
    /// When it cannot accept, for want of descriptors mostly, it waits: the next try would fail at once.
    private static let pause = TimeAmount.milliseconds(100)

    private let loop: LoopContext
    private let eventLoop: any EventLoop
    private let accept: (CInt) -> Void
    private var socket: (descriptor: CInt, membership: SocketPoller.Membership)?
    private var isPausing = false
    /// It goes on in the next turn.
    private var isDue = false

    /// Listens. Call it on `eventLoop`; `accept` gets each connection's descriptor, non-blocking, to keep and to close.
    /// Throws `IOError`.
    package init(on address: SocketAddress, eventLoop: any EventLoop, accept: @escaping (CInt) -> Void) throws {
        loop = LoopContext.of(eventLoop)
        self.eventLoop = eventLoop
        self.accept = accept
        let descriptor = try Socket.make(for: address)
        do {
            try ForwardListener.begin(descriptor, on: address)
            socket = (descriptor, try loop.poller().add(descriptor, owner: self))
        } catch {
            close(descriptor)
            throw error
        }
    }

    private static func begin(_ descriptor: CInt, on address: SocketAddress) throws {
        var on: CInt = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        guard address.withSockAddr({ bind(descriptor, $0, socklen_t($1)) }) == 0 else {
            throw IOError(errnoCode: errno, reason: "bind")
        }
        guard listen(descriptor, queue) == 0 else { throw IOError(errnoCode: errno, reason: "listen") }
    }

    /// The port that it listens on; the one that was chosen, if that was left open.
    package var port: Int? {
        socket.flatMap { Socket.localAddress(of: $0.descriptor)?.port }
    }

    /// Listens no more. Connections that were not accepted are reset.
    package func stop() {
        guard let (descriptor, membership) = socket else { return }
        socket = nil
        loop.socketPoller?.remove(membership)
        close(descriptor)
    }
}

extension ForwardListener: Polled {
    func ready(_ what: Readiness) {
        acceptSome()
    }

    private func acceptSome() {
        guard !isPausing, !isDue else { return }
        for _ in 0..<ForwardListener.mostAtOnce {
            guard let descriptor = socket?.descriptor else { return }
            let accepted = adit_socket_accept(descriptor)
            switch -accepted {
            case ..<1:
                accept(accepted)
            case EAGAIN, EWOULDBLOCK:
                return
            case ECONNABORTED, EPROTO, ENETDOWN, ENETUNREACH, EHOSTDOWN, EHOSTUNREACH:
                // The connection ended before it was accepted (accept(2)); the next may be well.
                continue
            default:
                return pause()
            }
        }
        isDue = true
        loop.inNextTurn {
            self.isDue = false
            self.acceptSome()
        }
    }

    private func pause() {
        isPausing = true
        eventLoop.assumeIsolated().scheduleTask(in: ForwardListener.pause) {
            self.isPausing = false
            self.acceptSome()
        }
    }

    func pollerEnded() {
        stop()
    }
}

package import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

extension Link {
    /// Moves the link to another event loop, so that a tunnel has both its links on one: between two, each run of frames
    /// is copied and each read cycle wakes the other thread.
    ///
    /// Its TCP connection goes on under a second descriptor. No stream may be spliced yet, and until `then` is called no
    /// other event loop may touch the mux or its streams. `then` is called on the event loop that the link is on
    /// afterwards: the old one, if it cannot move now because bytes wait for the socket.
    ///
    /// - Parameter departing: called on the old event loop, once the new one has been told of the link's arrival.
    package func move(to eventLoop: any EventLoop, departing: () -> Void, then: @escaping @Sendable () -> Void) {
        mux.eventLoop.assertInEventLoop()
        mux.loop.endCycle()
        guard mux.isRunning, let channel = context?.channel, let descriptor = duplicateSocket() else {
            return then()
        }
        leave()
        mux.account(for: 0)
        channel.close(promise: nil)
        let (mux, limits) = (mux, limits)
        eventLoop.execute {
            Link.arrive(mux, limits: limits, descriptor: descriptor, on: eventLoop)
            then()
        }
        departing()
    }

    private static func arrive(
        _ mux: SecureMux, limits: LinkLimits, descriptor: NIOBSDSocket.Handle, on eventLoop: any EventLoop
    ) {
        mux.moved(to: eventLoop)
        ClientBootstrap(group: eventLoop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try Socket.configure(channel)
                    try channel.pipeline.syncOperations.addHandler(Link(continuing: mux, limits: limits))
                }
            }
            .withConnectedSocket(descriptor)
            .assumeIsolated().whenFailure { mux.carrierEnded(reason(of: $0)) }
    }

    /// Another descriptor for the channel's socket; nil if bytes wait for the socket, or there are no more descriptors.
    private func duplicateSocket() -> NIOBSDSocket.Handle? {
        guard unsent.isEmpty, buffered == 0, let socket = openSocket else { return nil }
        let descriptor = fcntl(socket, F_DUPFD_CLOEXEC, 0)
        return descriptor >= 0 ? descriptor : nil
    }
}

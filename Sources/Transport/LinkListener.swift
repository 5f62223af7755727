import Mux
package import NIOCore
import NIOPosix
import TLSEngine
package import Wire

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Accepts links: TCP, TLS, and the acceptor's side of yamux. Any key that a peer can prove to hold is let through; what
/// it may do, and how long it may take for its handshake, is decided by whoever owns the mux.
package struct LinkListener: Sendable {
    private let channel: any Channel
    /// With the port that was chosen.
    package let address: HostPort

    /// Listens on `address`, or on a free port if its port is 0.
    ///
    /// The closures run on the event loop of each new connection. Throws `LinkFailure.unreachable` with the address and the
    /// reason.
    ///
    /// - Parameters:
    ///   - enter: called at accept, before anything is made for the connection. Nil closes it. Whoever lets it in also
    ///     closes it when it takes too long, by an error in its pipeline until `admit`.
    ///   - admit: called once the peer has said something; gives the link's mux its owner.
    ///   - silent: called instead if it never does.
    package static func bind<Visit: Sendable>(
        _ address: HostPort, identity: Identity, limits: LinkLimits, on group: any EventLoopGroup,
        enter: @escaping @Sendable (any Channel) -> Visit?,
        admit: @escaping @Sendable (Link, Visit) -> any SecureMuxDelegate,
        silent: @escaping @Sendable (Visit, LinkFailure) -> Void
    ) async throws -> LinkListener {
        do {
            let context = try TLSContext(role: .server, identity: identity, alpn: Protocol.linkALPN)
            let channel = try await ServerBootstrap(group: group)
                .serverChannelOption(.backlog, value: 4096)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AcceptPause())
                    }
                }
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        guard let visit = enter(channel) else {
                            // No state stays behind in the kernel either.
                            _ = (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                            throw TurnedAway()
                        }
                        try Socket.configure(channel)
                        let first = FirstBytes {
                            let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
                            let link = Link(role: .acceptor, tls: tls, limits: limits, eventLoop: channel.eventLoop)
                            link.mux.delegate = admit(link, visit)
                            return link
                        } onSilence: {
                            silent(visit, $0)
                        }
                        try channel.pipeline.syncOperations.addHandler(first)
                    }
                }
                .bind(host: address.host, port: Int(address.port)).get()
            let port = channel.localAddress?.port.flatMap(UInt16.init(exactly:)) ?? address.port
            return LinkListener(channel: channel, address: HostPort(host: address.host, port: port))
        } catch {
            throw LinkFailure.unreachable(address: address, reason: Link.reason(of: error))
        }
    }

    /// Serves until the task is cancelled; then no more links are accepted, and those that are there go on.
    package func serve() async throws {
        try await withTaskCancellationHandler {
            try await channel.closeFuture.get()
        } onCancel: {
            channel.close(promise: nil)
        }
    }
}

/// Has NIO close a connection that may not come in.
private struct TurnedAway: Error {}

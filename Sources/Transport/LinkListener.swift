import Mux
package import NIOCore
import NIOPosix
import TLSEngine
package import Wire

/// Accepts links: TCP, TLS, and the acceptor's side of yamux. Any key that a peer can prove to hold is let through; what
/// it may do is decided by whoever owns the mux.
package struct LinkListener: Sendable {
    private let channel: any Channel
    /// With the port that was chosen.
    package let address: HostPort

    /// Listens on `address`, or on a free port if its port is 0.
    ///
    /// `admit` runs on the event loop of each new connection, with the peer's IP address, and gives the link's mux its owner.
    /// Throws `LinkFailure.unreachable` with the address and the reason.
    package static func bind(
        _ address: HostPort, identity: Identity, on group: any EventLoopGroup,
        admit: @escaping @Sendable (Link, _ ip: String) -> any SecureMuxDelegate
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
                        try Socket.configure(channel)
                        let tls = try TLSConnection(context: context, serverName: nil) { _ in .accept }
                        let link = Link(role: .acceptor, tls: tls, eventLoop: channel.eventLoop)
                        link.mux.delegate = admit(link, channel.remoteAddress?.ipAddress ?? "unknown")
                        try channel.pipeline.syncOperations.addHandler(link)
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

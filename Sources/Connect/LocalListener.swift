import NIOCore
import NIOPosix
import Transport
import Wire

/// The local port whose connections go through the tunnel.
struct LocalListener {
    private let channel: any Channel
    /// With the port that was chosen.
    let address: HostPort

    /// Throws `ConnectFailure.cannotListen`.
    static func bind(_ address: HostPort, forwards: Forwards, on eventLoop: any EventLoop) async throws -> LocalListener
    {
        do {
            let channel = try await ServerBootstrap(group: eventLoop)
                .serverChannelOption(.backlog, value: 1024)
                .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
                .serverChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(AcceptPause())
                    }
                }
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try Socket.configure(channel, for: .forward)
                        try forwards.accept(channel)
                    }
                }
                .bind(host: address.host, port: Int(address.port)).get()
            let port = channel.localAddress?.port.flatMap(UInt16.init(exactly:)) ?? address.port
            return LocalListener(channel: channel, address: HostPort(host: address.host, port: port))
        } catch {
            throw ConnectFailure.cannotListen(address: address, reason: Link.reason(of: error))
        }
    }

    func close() async {
        // A listener that is closed already is what is wanted.
        try? await channel.close()
    }
}

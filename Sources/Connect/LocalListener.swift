import NIOCore
import Transport
import Wire

/// The local port whose connections go through the tunnel.
///
/// `@unchecked Sendable`: the listener is touched on `eventLoop` only.
struct LocalListener: @unchecked Sendable {
    private let listener: ForwardListener
    private let eventLoop: any EventLoop
    /// With the port that was chosen.
    let address: HostPort

    /// Throws `ConnectFailure.cannotListen`.
    static func bind(_ address: HostPort, forwards: Forwards, on eventLoop: any EventLoop) async throws -> LocalListener
    {
        do {
            let resolved = try SocketAddress.makeAddressResolvingHost(address.host, port: Int(address.port))
            return try await eventLoop.submit {
                let listener = try ForwardListener(on: resolved, eventLoop: eventLoop) { forwards.accept($0) }
                let port = listener.port.flatMap(UInt16.init(exactly:)) ?? address.port
                return LocalListener(
                    listener: listener, eventLoop: eventLoop, address: HostPort(host: address.host, port: port))
            }.get()
        } catch {
            throw ConnectFailure.cannotListen(address: address, reason: Link.reason(of: error))
        }
    }

    func close() async {
        // An event loop that has ended has closed it.
        try? await eventLoop.submit { listener.stop() }.get()
    }
}

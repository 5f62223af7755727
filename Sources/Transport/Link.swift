package import Mux
package import NIOCore
import NIOPosix
package import TLSEngine
import Wire

/// The outer link: a `SecureMux` on a TCP connection, between a peer and the relay.
///
/// One handler holds TLS and mux, so that plaintext never travels the pipeline. It also watches the link: a dialer's
/// handshake has a deadline, and silence is found by ping.
package final class Link: ChannelInboundHandler {
    package typealias InboundIn = ByteBuffer
    package typealias OutboundOut = ByteBuffer

    /// For the TCP connection, and again for the TLS handshake.
    package static let handshakeTimeout = TimeAmount.seconds(9)
    /// A ping goes out this often; a link that is silent for two of these intervals is dead.
    static let keepaliveInterval = TimeAmount.seconds(10)
    static let silentIntervals = 2

    /// What the link carries.
    package let mux: SecureMux
    /// Nil outside the channel's life, and once the link has moved to another channel.
    private(set) var context: ChannelHandlerContext?
    private var timer: NIOScheduledCallback?
    let limits: LinkLimits
    private let handshakeDeadline: NIODeadline?
    private var hasBegun = false
    private var heardSinceTick = false
    private var silent = 0
    var failure = "connection closed by the peer"

    /// The channel's descriptor, if it has one; its number is another's when the channel has closed.
    private var socket: NIOBSDSocket.Handle?
    /// What the socket of a long link did not take yet.
    var unsent = Unsent()
    /// NIO may hold bytes for the socket.
    var hasHandedOver = false
    /// How long the socket is left alone before `unsent` is tried again.
    var pause = TimeAmount.zero
    /// The mux may have found it not writable and wait for `carrierWritable`; `limits.backlogs` counts its bytes.
    var isFull = false

    /// Call it on the channel's event loop. A dialer's time for the handshake begins now; how long an acceptor waits is
    /// for the mux's owner to say.
    package init(
        role: Session.Role, tls: TLSConnection, limits: LinkLimits = LinkLimits(), eventLoop: any EventLoop
    ) {
        mux = SecureMux(role: role, tls: tls, limits: limits.mux, eventLoop: eventLoop)
        self.limits = limits
        handshakeDeadline = role == .dialer ? .now() + Link.handshakeTimeout : nil
    }

    /// A link that goes on with what another began; see `move`.
    init(continuing mux: SecureMux, limits: LinkLimits) {
        self.mux = mux
        self.limits = limits
        handshakeDeadline = nil
    }

    package func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        socket = try? context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            $0
        }
        if context.channel.isActive { begin(context) }
    }

    /// The descriptor, while it is the channel's.
    var openSocket: NIOBSDSocket.Handle? { context?.channel.isActive == true ? socket : nil }

    package func channelActive(context: ChannelHandlerContext) {
        begin(context)
    }

    private func begin(_ context: ChannelHandlerContext) {
        guard !hasBegun else { return }
        hasBegun = true
        if mux.isRunning {
            mux.carrier = self
            return scheduleTick(context.eventLoop)
        }
        Socket.boundIfLocal(context.channel)
        if let handshakeDeadline {
            schedule(at: handshakeDeadline, context.eventLoop)
        }
        mux.start(on: self)
    }

    private func scheduleTick(_ eventLoop: any EventLoop) {
        schedule(at: .now() + Link.keepaliveInterval, eventLoop)
    }

    private func schedule(at time: NIODeadline, _ eventLoop: any EventLoop) {
        // Only an event loop that shuts down takes no more.
        timer = try? eventLoop.assumeIsolated().scheduleCallback(at: time, handler: self)
    }

    private func tick() {
        silent = heardSinceTick ? 0 : silent + 1
        heardSinceTick = false
        guard silent < Link.silentIntervals else {
            let seconds = Int64(Link.silentIntervals) * Link.keepaliveInterval.nanoseconds / 1_000_000_000
            return mux.shutDown(.lost(reason: "nothing heard for \(seconds) s"))
        }
        mux.ping()
        mux.endOverdueHeaders()
    }

    package func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        heardSinceTick = true
        let bytes = unwrapInboundIn(data)
        bytes.withUnsafeReadableBytes { mux.receive($0) }
        mux.loop.giveBack(bytes)
        mux.loop.sendFull()
        if timer == nil, mux.isRunning { scheduleTick(context.eventLoop) }
    }

    package func channelWritabilityChanged(context: ChannelHandlerContext) {
        // It is not writable for a moment whenever a long batch comes, until NIO has tried the socket.
        guard context.channel.isWritable else { return }
        seeToFullness()
    }

    package func errorCaught(context: ChannelHandlerContext, error: any Error) {
        failure = Link.reason(of: error)
        context.close(promise: nil)
    }

    package func channelInactive(context: ChannelHandlerContext) {
        guard self.context != nil else { return }
        mux.carrierEnded(failure)
    }

    package func handlerRemoved(context: ChannelHandlerContext) {
        guard self.context != nil else { return }
        mux.carrierEnded(failure)
        leave()
    }

    /// Lets go of the channel; whatever still comes from it is nobody's.
    func leave() {
        if isFull, let context { limits.backlogs?.forget(context.channel) }
        unsent = Unsent()
        timer?.cancel()
        timer = nil
        context = nil
    }

    /// A system error as people know it.
    package static func reason(of error: any Error) -> String {
        guard let error = error as? IOError else { return "\(error)" }
        return String(cString: strerror(error.errnoCode)).lowercased()
    }
}

extension Link: NIOScheduledCallbackHandler {
    package func handleScheduledCallback(eventLoop: some EventLoop) {
        // NIO may have taken it out of its table before it was cancelled.
        guard context != nil else { return }
        guard mux.isRunning else {
            return mux.carrierEnded("no handshake within \(Link.handshakeTimeout.nanoseconds / 1_000_000_000) s")
        }
        tick()
        if context != nil { scheduleTick(eventLoop) }
    }
}

import NIOCore

/// Waits for a connection's first bytes and makes its link then: one that says nothing costs no TLS state.
final class FirstBytes: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let timeout: TimeAmount
    private let accepted = NIODeadline.now()
    private let makeLink: (_ handshakeDeadline: NIODeadline) throws -> Link
    private var onSilence: ((LinkFailure) -> Void)?
    private var timer: Scheduled<Void>?

    /// - Parameters:
    ///   - timeout: for the bytes, and for all of the handshake that they begin.
    ///   - makeLink: called once at most.
    ///   - onSilence: called instead, when none come.
    init(
        timeout: TimeAmount, makeLink: @escaping (_ handshakeDeadline: NIODeadline) throws -> Link,
        onSilence: @escaping (LinkFailure) -> Void
    ) {
        self.timeout = timeout
        self.makeLink = makeLink
        self.onSilence = onSilence
    }

    func handlerAdded(context: ChannelHandlerContext) {
        timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: accepted + timeout) {
            self.end(context, Link.noHandshake(within: self.timeout))
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        onSilence = nil
        do {
            let link = try makeLink(accepted + timeout)
            try context.pipeline.syncOperations.addHandler(link, position: .after(self))
            context.fireChannelRead(data)
            context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
        } catch {
            context.close(promise: nil)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        end(context, Link.reason(of: error))
    }

    func channelInactive(context: ChannelHandlerContext) {
        end(context, "connection closed by the peer")
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        end(context, "connection closed by the peer")
    }

    private func end(_ context: ChannelHandlerContext, _ reason: String) {
        timer?.cancel()
        timer = nil
        guard let onSilence else { return }
        self.onSilence = nil
        onSilence(.handshake(reason: reason))
        context.close(promise: nil)
    }
}

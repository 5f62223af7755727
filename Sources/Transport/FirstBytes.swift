import NIOCore

/// Waits for a connection's first bytes and makes its link then: one that says nothing costs no TLS state.
final class FirstBytes: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let makeLink: () throws -> Link
    private var onSilence: ((LinkFailure) -> Void)?

    /// - Parameters:
    ///   - makeLink: called once at most.
    ///   - onSilence: called instead, if the connection ends without any, or by an error that somebody fires.
    init(makeLink: @escaping () throws -> Link, onSilence: @escaping (LinkFailure) -> Void) {
        self.makeLink = makeLink
        self.onSilence = onSilence
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        onSilence = nil
        do {
            let link = try makeLink()
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
        guard let onSilence else { return }
        self.onSilence = nil
        onSilence(.handshake(reason: reason))
        context.close(promise: nil)
    }
}

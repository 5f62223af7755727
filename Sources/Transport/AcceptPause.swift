import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Lets a listener that is out of descriptors or memory wait a moment before it accepts again. Without it the socket stays
/// readable, accepting fails at once, and the event loop spins.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = any Channel

    private static let pause = TimeAmount.milliseconds(100)

    /// Goes first into a listening channel's pipeline.
    init() {}

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch (error as? IOError)?.errnoCode {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM:
            let channel = context.channel
            try? channel.syncOptions?.setOption(.autoRead, value: false)
            context.eventLoop.scheduleTask(in: AcceptPause.pause) {
                try? channel.syncOptions?.setOption(.autoRead, value: true)
            }
        default:
            context.fireErrorCaught(error)
        }
    }
}

import Logging
import NIOCore
import Transport
import Wire

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// Joins forward streams with connections to the target on this machine.
struct Forwards: Sendable {
    let target: HostPort
    private let dial: LoopbackDial
    private let eventLoop: any EventLoop
    private let logger: Logger

    init(target: HostPort, eventLoop: any EventLoop, logger: Logger) {
        self.target = target
        dial = LoopbackDial(target, on: eventLoop)
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// Dials the target, and answers once it is known how that went.
    ///
    /// Data that comes meanwhile waits in the pipe, bounded by the stream's window.
    func open(_ stream: MuxStream, for client: Printable) {
        let pipe = SocketPipe(eventLoop: eventLoop)
        pipe.join(stream)
        dial.connect { result in
            switch result {
            case .success(let descriptor):
                guard !stream.isGone else {
                    // The client has given up meanwhile.
                    Socket.resetWhenClosed(descriptor)
                    close(descriptor)
                    return
                }
                stream.answerAccepted()
                do {
                    try pipe.attach(descriptor)
                } catch {
                    let reason = Link.reason(of: error)
                    logger.error("Forward failed: client-id=\(client), target=\(target), reason=\(reason)")
                    stream.reset()
                }
            case .failure(let refusal):
                logger.warning("Forward failed: client-id=\(client), target=\(target), reason=\(refusal)")
                stream.refuse(refusal)
            }
        }
    }
}

import Logging
import NIOCore
import NIOPosix
import Transport
import Wire

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
            case .success(let channel):
                // The client may have given up meanwhile.
                guard !stream.isGone else { return channel.close(promise: nil) }
                stream.answerAccepted()
                do {
                    try pipe.attach(to: channel)
                } catch {
                    stream.reset()
                    channel.close(promise: nil)
                }
            case .failure(let refusal):
                logger.warning("Forward failed: client-id=\(client), target=\(target), reason=\(refusal)")
                stream.refuse(refusal)
            }
        }
    }
}

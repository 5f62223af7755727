import Logging
import NIOCore
import NIOPosix
import Transport
import Wire

/// Joins forward streams with connections to the target on this machine.
struct Forwards: Sendable {
    let target: HostPort
    let eventLoop: any EventLoop
    let logger: Logger

    /// Dials the target, and answers once it is known how that went.
    ///
    /// Data that comes meanwhile waits in the pipe, bounded by the stream's window.
    func open(_ stream: MuxStream, for client: Printable) {
        let pipe = SocketPipe(eventLoop: eventLoop)
        pipe.join(stream)
        LoopbackDial(target, on: eventLoop).connect { result in
            switch result {
            case .success(let channel):
                // The client may have given up meanwhile.
                guard !stream.isGone else { return channel.close(promise: nil) }
                stream.answer(Answer<Accepted>.accepted(Accepted()))
                do {
                    try pipe.attach(to: channel)
                    pipe.startReading()
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

import EndToEnd
import Logging
import NIOCore
import Transport
import Wire

/// Carries local connections over the session of the moment. One that comes while there is none waits a while for it.
///
/// `@unchecked Sendable`: all state is touched on `eventLoop` only.
final class Forwards: @unchecked Sendable {
    /// How long a connection waits for a session, and how many do.
    private static let patience = TimeAmount.seconds(10)
    private static let mostWaiting = 256

    private let eventLoop: any EventLoop
    private let logger: Logger
    private var session: (ConnectSession, target: HostPort)?
    private var waiting: [ObjectIdentifier: SocketPipe] = [:]
    /// The bytes of the last answer that was one of acceptance: all of them are the same.
    private var acceptance: [UInt8] = []

    init(eventLoop: any EventLoop, logger: Logger) {
        self.eventLoop = eventLoop
        self.logger = logger
    }

    /// A session is ready: what waited goes over it, and so does what comes.
    func use(_ session: ConnectSession, target: HostPort) {
        eventLoop.assertInEventLoop()
        self.session = (session, target)
        let pipes = waiting.values
        waiting = [:]
        for pipe in pipes { forward(pipe) }
    }

    /// The session is over; its forwards have been reset.
    func lostSession() {
        eventLoop.assertInEventLoop()
        session = nil
    }

    /// A local connection: a non-blocking socket, nobody else's.
    func accept(_ descriptor: CInt) {
        eventLoop.assertInEventLoop()
        let pipe = SocketPipe(eventLoop: eventLoop) { self.waiting[ObjectIdentifier($0)] = nil }
        do {
            try pipe.attach(descriptor)
        } catch {
            return logger.error("Connection refused: reason=\(Link.reason(of: error))")
        }
        if session != nil { return forward(pipe) }
        guard waiting.count < Forwards.mostWaiting else { return turnAway(pipe) }
        let id = ObjectIdentifier(pipe)
        waiting[id] = pipe
        eventLoop.assumeIsolated().scheduleTask(in: Forwards.patience) { [weak pipe] in
            // Another may have its address by now.
            guard let pipe, self.waiting[id] === pipe else { return }
            self.waiting[id] = nil
            self.turnAway(pipe)
        }
    }

    private func turnAway(_ pipe: SocketPipe) {
        logger.warning("Connection refused: reason=no session with the agent")
        pipe.abort()
    }

    private func forward(_ pipe: SocketPipe) {
        guard let (session, target) = session else { return turnAway(pipe) }
        do {
            let stream = try session.openForward(to: target)
            stream.delegate = HeaderReader(
                stream,
                onMessage: { json, count in
                    stream.consumed(count)
                    self.receivedAnswer(json, on: stream, for: pipe)
                },
                onFailure: { reason in
                    self.logger.debug("Forward ended: target=\(target), reason=\(reason)")
                    pipe.abort()
                },
                onWritable: pipe.streamWritable)
            pipe.send(to: stream)
        } catch {
            logger.warning("Forward failed: target=\(target), reason=\(error)")
            pipe.abort()
        }
    }

    private func receivedAnswer(_ json: [UInt8], on stream: MuxStream, for pipe: SocketPipe) {
        do throws(MessageError) {
            switch json == acceptance ? .accepted(Accepted()) : try Message.decode(Answer<Accepted>.self, from: json) {
            case .accepted:
                acceptance = json
                stream.delegate = pipe
                return
            case .refused(let refusal):
                logger.warning("Forward refused by the agent: reason=\(refusal)")
            }
        } catch {
            logger.warning("Forward failed: reason=\(error)")
        }
        stream.reset()
        pipe.abort()
    }
}

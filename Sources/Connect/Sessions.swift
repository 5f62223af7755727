import EndToEnd
import Logging
import NIOCore
import Transport
import Wire

/// Keeps a session with the agent over a link: opens a tunnel, runs the session, and opens the next when it ends.
struct Sessions: Sendable {
    /// For the agent's answer to a tunnel request.
    private static let answerTimeout = TimeAmount.seconds(10)

    let configuration: ConnectConfiguration
    let tls: SessionTLS
    let forwards: Forwards
    let local: HostPort
    let logger: Logger
    let onEvent: @Sendable (ConnectEvent) -> Void

    /// Runs until the link ends, and says why it did. Throws `LinkFailure` when trying again is pointless.
    func keep(over link: RelayLink) async throws -> LinkFailure {
        let linkEnd = try await withThrowingTaskGroup(of: LinkFailure?.self) { group in
            group.addTask { try await link.ended() }
            group.addTask {
                try await keepSession(over: link)
                return nil
            }
            defer { group.cancelAll() }
            while let failure = try await group.next() {
                if let failure { return failure }
            }
            return LinkFailure.lost(reason: "shutting down")
        }
        return linkEnd
    }

    /// Returns when cancelled.
    private func keepSession(over link: RelayLink) async throws {
        var backoff = Backoff()
        while !Task.isCancelled {
            let begun = NIODeadline.now()
            let failure = try await run(over: link)
            if NIODeadline.now() - begun > .seconds(10) { backoff.reset() }
            guard !Task.isCancelled, !link.hasEnded else { return }
            if failure.isFinal || configuration.exitOnFailure { throw failure }
            let delay = backoff.next()
            report(failure, retryAfter: delay)
            do {
                try await Task.sleep(for: .nanoseconds(delay.nanoseconds))
            } catch {
                return
            }
        }
    }

    private func report(_ failure: LinkFailure, retryAfter delay: TimeAmount) {
        let milliseconds = delay.nanoseconds / 1_000_000
        if case .refused(let refusal) = failure, refusal.code == .agentNotFound {
            onEvent(.agentNotFound(configuration.agentID, retryAfterMilliseconds: milliseconds))
        } else {
            onEvent(.disconnected(failure, retryAfterMilliseconds: milliseconds))
        }
    }

    /// One tunnel and its session, from the request to the end.
    private func run(over link: RelayLink) async throws -> LinkFailure {
        let end = link.eventLoop.makePromise(of: LinkFailure.self)
        link.eventLoop.execute { begin(over: link, end: end) }
        return try await end.futureResult.get()
    }

    private func begin(over link: RelayLink, end: EventLoopPromise<LinkFailure>) {
        do {
            let stream = try link.open()
            let deadline = link.eventLoop.assumeIsolated().scheduleTask(in: Sessions.answerTimeout) {
                stream.reset()
                end.succeed(.lost(reason: "the agent did not answer within 10 s"))
            }
            stream.delegate = HeaderReader(
                stream,
                onMessage: { json, count in
                    deadline.cancel()
                    stream.consumed(count)
                    self.receivedAnswer(json, on: stream, end: end)
                },
                onFailure: {
                    deadline.cancel()
                    end.succeed(.lost(reason: "tunnel: \($0)"))
                })
            stream.write(ByteBuffer(bytes: try Message.encode(TunnelRequest(agentID: configuration.agentID))))
        } catch {
            end.succeed(.lost(reason: "no tunnel can be opened: \(error)"))
        }
    }

    private func receivedAnswer(
        _ json: [UInt8], on stream: MuxStream, end: EventLoopPromise<LinkFailure>
    ) {
        do {
            switch try Message.decode(Answer<Accepted>.self, from: json) {
            case .accepted:
                try runSession(over: stream, end: end)
            case .refused(let refusal):
                stream.reset()
                end.succeed(.refused(refusal.received(at: .tunnel)))
            }
        } catch {
            stream.reset()
            end.succeed(.misbehaved(reason: "\(error)"))
        }
    }

    private func runSession(over stream: MuxStream, end: EventLoopPromise<LinkFailure>) throws {
        _ = try ConnectSession(
            carrier: stream, tls: tls, trust: configuration.agentTrust, agent: configuration.agentID,
            target: configuration.remote, logger: logger,
            onReady: { session, welcome, key in
                forwards.use(session, target: welcome.target)
                onEvent(.connectedToAgent(configuration.agentID, key: key))
                onEvent(.ready(local: local, target: welcome.target))
            },
            onEnd: { failure in
                forwards.lostSession()
                end.succeed(failure)
            })
    }
}

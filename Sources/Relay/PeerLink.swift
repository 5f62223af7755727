import Logging
import Mux
import NIOCore
import Synchronization
import Tokens
import Transport
import Wire

/// The relay's side of one link: waits for the hello, admits or refuses, and then serves an agent or a client.
///
///     connected ──TLS──► awaitingHello ──hello──► agent | client ──► ended
///          └──────────────────┴───────────────refused────────────────►┘
///
/// `@unchecked Sendable`: all its state lives on `mux.eventLoop`; the tables of other loops only hold the reference.
final class PeerLink: @unchecked Sendable {
    private enum State {
        case connected
        case awaitingHello(key: Fingerprint)
        case agent(AgentID, TokenTerm)
        case client(TokenTerm)
        case ended
    }

    /// Tunnels that one client's link may ask for: at once, and a second after that. A connect needs one.
    private static let mostRequestsAtOnce = 256
    private static let mostRequestsPerSecond = 100
    /// Streams with refused requests that a client has not ended yet.
    private static let mostRefused = 64

    /// Whether the link may still change its event loop.
    private enum Place {
        case free(Link)
        /// With what is to be done on arrival.
        case moving([@Sendable () -> Void])
        case fixed
    }

    let mux: SecureMux
    private let ip: String
    private let hall: Hall
    private var state = State.connected
    private var control: MuxStream?
    private var place: Place
    /// Nil once the link has ended.
    private var visit: Visit?
    private var requests = RateLimit(perSecond: PeerLink.mostRequestsPerSecond, burst: PeerLink.mostRequestsAtOnce)
    /// For those who are on other event loops.
    private let home: Mutex<any EventLoop>

    init(_ link: Link, visit: Visit, hall: Hall) {
        mux = link.mux
        place = .free(link)
        home = Mutex(link.mux.eventLoop)
        self.visit = visit
        ip = visit.ip
        self.hall = hall
        hall.links.insert(self)
        visit.ifDismissed { dismissal in self.perform { $0.leave(dismissal) } }
    }

    /// Runs `body` on the link's event loop, wherever that is by then. Any thread may call it.
    func perform(_ body: @escaping @Sendable (PeerLink) -> Void) {
        let here = home.withLock { $0 }
        here.execute {
            guard self.home.withLock({ $0 }) === here else { return self.perform(body) }
            body(self)
        }
    }

    /// Before the first tunnel, moves the link to the event loop of the agent it is for, and then runs `body` there; at
    /// once, if that is not to be or has been done.
    func settle(near agent: PeerLink, _ body: @escaping @Sendable () -> Void) {
        switch place {
        case .fixed: body()
        case .moving(let waiting): place = .moving(waiting + [body])
        case .free(let link):
            let target = agent.mux.eventLoop
            guard target !== mux.eventLoop else {
                place = .fixed
                return body()
            }
            place = .moving([body])
            // The read cycle that brought the request has to end first.
            mux.eventLoop.assumeIsolated().execute {
                self.term?.cancel()
                link.move(to: target) {
                    self.home.withLock { $0 = target }
                } then: {
                    self.settled()
                }
            }
        }
    }

    private func settled() {
        guard case .moving(let waiting) = place else { return }
        place = .fixed
        term?.proceed()
        for body in waiting { body() }
    }

    /// Tells the peer why and ends the link. Call it on the link's event loop.
    func end(_ refusal: Refusal) {
        mux.eventLoop.assertInEventLoop()
        switch state {
        case .connected, .awaitingHello: return refuse(refusal)
        case .agent, .client, .ended: break
        }
        tell(Notice(ending: refusal))
        mux.flush()
        mux.shutDown(.refused(refusal))
    }

    /// Ends the link unless it has been welcomed since.
    private func leave(_ dismissal: Door.Dismissal) {
        let reason = dismissal.reason(under: hall.limits)
        switch (state, dismissal) {
        case (.agent, _), (.client, _), (.ended, _): break
        case (.connected, .late): mux.carrierEnded(reason)
        case (.awaitingHello, .late):
            refuse(Refusal(.helloTimeout, "no hello within \(hall.limits.handshakeSeconds) s"))
        case (.connected, .forRoom), (.awaitingHello, .forRoom): refuse(Refusal(.limitExceeded, reason))
        }
    }

    /// Says something to a peer that has been welcomed.
    func tell(_ notice: Notice) {
        guard let control, let bytes = try? Message.encode(notice) else { return }
        control.write(ByteBuffer(bytes: bytes))
    }

    /// Ends the link if its token is taken no more. Call it on the link's event loop.
    func review() {
        term?.review()
    }

    private var term: TokenTerm? {
        switch state {
        case .connected, .awaitingHello, .ended: nil
        case .agent(_, let term), .client(let term): term
        }
    }
}

// MARK: - Admission

extension PeerLink: SecureMuxDelegate {
    func muxEstablished(peerKey: Fingerprint) {
        state = .awaitingHello(key: peerKey)
        visit?.waitsForHello()
    }

    func muxOpened(_ stream: MuxStream) {
        switch state {
        case .awaitingHello(let key) where control == nil:
            control = stream
            stream.accept()
            stream.delegate = HeaderReader(
                stream,
                onMessage: { json, count in
                    stream.consumed(count)
                    self.receivedHello(json, key: key)
                },
                onFailure: { self.refuse(Refusal(.malformedMessage, $0)) })
        case .client(let term):
            // The control stream is one of them.
            let excess = mux.streamCount - 1 - hall.limits.tunnelsPerClient
            guard excess <= PeerLink.mostRefused else { return stream.reset() }
            if excess > 0 {
                return refuse(stream, of: term.token, "a client may have \(hall.limits.tunnelsPerClient) tunnels")
            }
            guard requests.take() else {
                return refuse(
                    stream, of: term.token, "a link may ask for \(PeerLink.mostRequestsPerSecond) tunnels a second")
            }
            Tunnel.begin(on: stream, of: self, claims: term.token.claims, ip: ip, hall: hall)
        case .connected, .awaitingHello, .agent, .ended:
            stream.reset()
        }
    }

    private func refuse(_ stream: MuxStream, of token: VerifiedToken, _ reason: String) {
        hall.limitedLog.warning(
            "Tunnel refused: client-id=\(Printable(token.claims.subject)), ip=\(ip), reason=\(reason)")
        stream.accept()
        stream.refuse(Refusal(.limitExceeded, reason))
    }

    private func receivedHello(_ json: [UInt8], key: Fingerprint) {
        do throws(MessageError) {
            let hello = try Message.decode(Hello.self, from: json)
            guard hello.version == Protocol.version else {
                return refuse(
                    Refusal(.unsupportedVersion, "this relay speaks version \(Protocol.version), not \(hello.version)"))
            }
            authenticate(hello, key: key)
        } catch {
            refuse(Refusal(.malformedMessage, error.description))
        }
    }

    private func authenticate(_ hello: Hello, key: Fingerprint) {
        let token: VerifiedToken
        do throws(Refusal) {
            token = try hall.policy.admit(hello.token, key: key, now: hall.now())
        } catch {
            return refuseAuthentication(error)
        }
        if let refusal = hall.authorization.objection(to: hello.role, agentID: hello.agentID, claims: token.claims) {
            return refuseAuthentication(refusal)
        }
        let term = TokenTerm(token, hello: (hello.role, hello.agentID, key), link: self, hall: hall)
        switch hello.role {
        case .agent: if let id = hello.agentID { register(id, key: key, term: term) }
        case .client: admitClient(term)
        }
    }

    private func register(_ id: AgentID, key: Fingerprint, term: TokenTerm) {
        switch hall.registry.register(id, link: self, key: key) {
        case .taken:
            hall.logger.warning("Agent refused: agent-id=\(id), ip=\(ip), reason=the ID is registered with another key")
            return refuse(Refusal(.agentIDTaken, "the agent ID \(id) is registered with another key"))
        case .tooOften:
            hall.logger.warning("Agent refused: agent-id=\(id), ip=\(ip), reason=the ID is registered anew too often")
            return refuse(Refusal(.limitExceeded, "the agent ID \(id) is registered anew too often"))
        case .replaced(let older):
            older.perform {
                $0.end(Refusal(.replaced, "an agent with the same key has registered the agent ID \(id) since"))
            }
        case .registered:
            break
        }
        state = .agent(id, term)
        hall.logger.info("Agent connected: agent-id=\(id), ip=\(ip)")
        welcome()
    }

    private func admitClient(_ term: TokenTerm) {
        state = .client(term)
        hall.logger.info("Client authenticated: client-id=\(Printable(term.token.claims.subject)), ip=\(ip)")
        welcome()
    }

    private func welcome() {
        visit?.welcomed()
        guard let control else { return }
        control.delegate = ControlStream(link: self, stream: control)
        control.answer(Answer<Welcome>.accepted(Welcome(software: Software.name)))
        term?.proceed()
    }

    /// The one thing that an admitted peer may say.
    func received(_ renewal: Renewal) {
        term?.renew(with: renewal.token)
    }

    private func refuseAuthentication(_ refusal: Refusal) {
        visit?.failed()
        hall.logger.warning("Authentication failed: \(Printable(refusal.message)), ip=\(ip)")
        refuse(refusal)
    }

    /// Before the welcome: the answer to the hello, if there is a stream for it, and the end.
    private func refuse(_ refusal: Refusal) {
        if mux.isRunning, let control, !control.isGone {
            control.answer(Answer<Welcome>.refused(refusal))
            mux.flush()
        }
        mux.shutDown(.refused(refusal), code: refusal.code == .malformedMessage ? .protocolError : .normal)
    }

    func muxGoingAway(_ code: GoAwayCode) {}

    func muxEnded(_ failure: LinkFailure) {
        term?.cancel()
        hall.links.remove(self)
        visit = nil
        switch state {
        case .agent(let id, _):
            hall.registry.unregister(id, link: self)
            hall.logger.info("Agent disconnected: agent-id=\(id), ip=\(ip), reason=\(failure)")
        case .client(let term):
            let id = Printable(term.token.claims.subject)
            hall.logger.info("Client disconnected: client-id=\(id), ip=\(ip), reason=\(failure)")
        case .connected, .awaitingHello, .ended:
            hall.logger.info("Link ended: ip=\(ip), reason=\(failure)")
        }
        state = .ended
        control = nil
    }
}

/// The control stream of an admitted peer: it may renew its token, and must not close.
private final class ControlStream: MuxStreamDelegate {
    private let link: PeerLink
    private let stream: MuxStream
    private var inbox = MessageBuffer()

    init(link: PeerLink, stream: MuxStream) {
        self.link = link
        self.stream = stream
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream.consumed(bytes.count)
        var rest = bytes
        do throws(MessageError) {
            while !rest.isEmpty, !stream.isGone {
                let (consumed, json) = try inbox.take(rest)
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(consumed))
                if let json { link.received(try Message.decode(Renewal.self, from: json)) }
            }
        } catch {
            link.end(Refusal(.malformedMessage, error.description))
        }
    }

    func streamFinished() {
        link.end(Refusal(.malformedMessage, "the control stream was closed"))
    }

    func streamReset(_ reason: String) {
        link.mux.shutDown(.lost(reason: "control stream: \(reason)"))
    }

    func streamWritable() {}
}

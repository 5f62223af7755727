import Mux
package import NIOCore
package import TLSEngine
package import Transport
package import Wire

/// An agent's side of a session with one connect.
///
/// Loop-bound: lives on its carrier's event loop.
package final class AgentSession {
    /// What a session tells its agent.
    package enum Event {
        /// The client's key has passed and its hello is accepted.
        case ready(client: Fingerprint)
        /// A forward stream with its request, for the target and allowed. Set the stream's delegate, and answer.
        case forward(MuxStream)
        /// A forward that was refused.
        case forwardRefused(ForwardRequest, Refusal)
        /// Once; nothing follows.
        case ended(LinkFailure)
    }

    /// That a session may have at once, unless somebody says otherwise.
    package static let mostForwards = 16_384
    /// Streams with refused requests that the client has not ended yet; one more is reset.
    private static let mostRefused = 256

    private let mux: SecureMux
    private let mostForwards: Int
    private let target: HostPort
    private let isTargetAllowed: Bool
    private let onEvent: (Event) -> Void
    private var hasControl = false
    private var isReady = false
    private var timeout: Scheduled<Void>?
    /// A forward's request has come before the second of these after its opening.
    private var headerTick: NIOScheduledCallback?
    private static let headerInterval = TimeAmount.seconds(10)
    /// The last request and its bytes: most forwards of a session ask for the same.
    private var lastRequest: (json: [UInt8], request: ForwardRequest)?

    /// Waits for the handshake of the client at the far end of `carrier`, and for its hello.
    ///
    /// - Parameters:
    ///   - offer: what the relay vouches for; it can only narrow what the client may reach.
    ///   - mostForwards: at once; one more is refused.
    ///   - clients: whose keys are let in; nil for everybody whom the relay lets through.
    ///
    /// Throws `TLSError` when no TLS connection can be made.
    package init(
        carrier: MuxStream, tls: SessionTLS, offer: TunnelOffer, clients: AuthorizedClients?, target: HostPort,
        mostForwards: Int, onEvent: @escaping (Event) -> Void
    ) throws {
        let connection = try tls.connection { peer in
            guard let clients, !clients.contains(peer.fingerprint) else { return .accept }
            return .reject(reason: "the key \(peer.fingerprint) is not in the file of authorized clients")
        }
        // The control stream is one of them.
        let limits = Limits(streams: 1 + mostForwards + AgentSession.mostRefused)
        mux = SecureMux(role: .acceptor, tls: connection, limits: limits, eventLoop: carrier.eventLoop)
        self.mostForwards = mostForwards
        self.target = target
        isTargetAllowed = offer.allowedAddresses?.contains(target.description) ?? true
        self.onEvent = onEvent
        mux.delegate = self
        timeout = carrier.eventLoop.assumeIsolated().scheduleTask(in: ConnectSession.handshakeTimeout) {
            self.mux.shutDown(.lost(reason: "the client did not say hello within 10 s"))
        }
        scheduleHeaderTick(carrier.eventLoop)
        mux.start(over: carrier)
    }

    private func scheduleHeaderTick(_ eventLoop: any EventLoop) {
        // Only an event loop that shuts down takes no more.
        headerTick = try? eventLoop.assumeIsolated().scheduleCallback(in: AgentSession.headerInterval, handler: self)
    }

    /// Says go-away and ends the session.
    package func close(_ reason: String) {
        mux.shutDown(.lost(reason: reason))
    }
}

extension AgentSession: NIOScheduledCallbackHandler {
    package func handleScheduledCallback(eventLoop: some EventLoop) {
        // NIO may have taken it out of its table before it was cancelled, and a header may have been the last thing allowed.
        if !mux.hasEnded { mux.endOverdueHeaders() }
        if !mux.hasEnded { scheduleHeaderTick(eventLoop) }
    }
}

extension AgentSession: SecureMuxDelegate {
    package func muxEstablished(peerKey: Fingerprint) {}

    package func muxOpened(_ stream: MuxStream) {
        stream.accept()
        if hasControl {
            guard isReady else { return stream.reset() }
            guard mux.streamCount <= 1 + mostForwards else {
                return stream.refuse(
                    Refusal(.limitExceeded, "this agent takes \(mostForwards) connections at once over one session"))
            }
            read(ForwardRequest.self, from: stream) { self.receivedRequest($0, on: stream) }
        } else {
            hasControl = true
            read(SessionHello.self, from: stream) { self.receivedHello($0, on: stream) }
        }
    }

    private func read<Header: Decodable>(
        _ type: Header.Type, from stream: MuxStream, then act: @escaping (Header) -> Void
    ) {
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                stream.consumed(count)
                do throws(MessageError) {
                    act(try self.decode(type, from: json))
                } catch {
                    stream.refuse(Refusal(.malformedMessage, error.description))
                }
            },
            onFailure: { _ in })
    }

    private func decode<Header: Decodable>(_ type: Header.Type, from json: [UInt8]) throws(MessageError) -> Header {
        if let lastRequest, lastRequest.json == json, let header = lastRequest.request as? Header { return header }
        let header = try Message.decode(type, from: json)
        if let request = header as? ForwardRequest { lastRequest = (json, request) }
        return header
    }

    private func receivedHello(_ hello: SessionHello, on stream: MuxStream) {
        guard hello.version == Protocol.version else {
            return stream.refuse(
                Refusal(.unsupportedVersion, "this agent speaks version \(Protocol.version), not \(hello.version)"))
        }
        if let refusal = objection(to: hello.target ?? target) { return stream.refuse(refusal) }
        guard let peer = mux.peer else { return stream.reset() }
        timeout?.cancel()
        isReady = true
        stream.delegate = SessionControl(mux: mux)
        stream.answer(Answer<SessionWelcome>.accepted(SessionWelcome(target: target)))
        onEvent(.ready(client: peer.fingerprint))
    }

    /// Asked of every forward, not of the session alone: what a client says in its hello binds it to nothing.
    private func receivedRequest(_ request: ForwardRequest, on stream: MuxStream) {
        if let refusal = objection(to: request.target) {
            stream.refuse(refusal)
            return onEvent(.forwardRefused(request, refusal))
        }
        onEvent(.forward(stream))
    }

    private func objection(to wanted: HostPort) -> Refusal? {
        guard wanted == target else {
            return Refusal(.targetForbidden, "this agent forwards to \(target), not to \(wanted)")
        }
        return isTargetAllowed ? nil : Refusal(.targetForbidden, "the token does not allow the address \(target)")
    }

    package func muxGoingAway(_ code: GoAwayCode) {}

    package func muxEnded(_ failure: LinkFailure) {
        timeout?.cancel()
        headerTick?.cancel()
        onEvent(.ended(failure))
    }
}

package import Logging
import Mux
import NIOCore
package import TLSEngine
package import Transport
package import Wire

/// connect's side of a session with an agent: end-to-end TLS and yamux over a carrier that the relay splices.
///
/// Loop-bound: lives on its carrier's event loop.
package final class ConnectSession {
    /// For the end-to-end handshake and the agent's welcome together.
    static let handshakeTimeout = TimeAmount.seconds(10)

    private let mux: SecureMux
    private let target: HostPort?
    private let trust: KeyTrust
    private let agent: String
    private let ownKey: Fingerprint
    private let logger: Logger
    private let onReady: (ConnectSession, SessionWelcome, Fingerprint) -> Void
    private let onEnd: (LinkFailure) -> Void
    private var refusal: Refusal?
    private var timeout: Scheduled<Void>?
    /// Requests for the same target are the same bytes.
    private var encodedRequest: (target: HostPort, bytes: [UInt8])?

    /// Begins the handshake. `onReady` is called at most once, `onEnd` exactly once.
    ///
    /// - Parameters:
    ///   - trust: why the agent's key is believed.
    ///   - agent: names the agent in messages.
    ///   - target: what to ask the agent for; nil for its own target.
    ///
    /// Throws `TLSError` when no TLS connection can be made.
    package init(
        carrier: MuxStream, tls: SessionTLS, trust: KeyTrust, agent: AgentID, target: HostPort?, logger: Logger,
        onReady: @escaping (ConnectSession, SessionWelcome, Fingerprint) -> Void,
        onEnd: @escaping (LinkFailure) -> Void
    ) throws {
        let connection = try tls.connection(trust.check("agent \(agent)"))
        mux = SecureMux(role: .dialer, tls: connection, limits: Limits(), eventLoop: carrier.eventLoop)
        self.trust = trust
        self.agent = "agent \(agent)"
        ownKey = tls.key
        self.target = target
        self.logger = logger
        self.onReady = onReady
        self.onEnd = onEnd
        mux.delegate = self
        timeout = carrier.eventLoop.assumeIsolated().scheduleTask(in: ConnectSession.handshakeTimeout) {
            self.mux.shutDown(.lost(reason: "the agent did not answer within 10 s"))
        }
        mux.start(over: carrier)
    }

    /// Opens a forward stream; data may follow at once. The caller sets the stream's delegate, which first gets the
    /// agent's `Answer<Accepted>`.
    package func openForward(to target: HostPort) throws -> MuxStream {
        let request: [UInt8]
        if let encodedRequest, encodedRequest.target == target {
            request = encodedRequest.bytes
        } else {
            request = try Message.encode(ForwardRequest(target: target))
            encodedRequest = (target, request)
        }
        let stream = try mux.open()
        stream.write(ByteBuffer(bytes: request))
        return stream
    }

    /// Says go-away and ends the session.
    package func close(_ reason: String) {
        mux.shutDown(.lost(reason: reason))
    }
}

extension ConnectSession: SecureMuxDelegate {
    package func muxEstablished(peerKey: Fingerprint) {
        if let peer = mux.peer { trust.remember(peer, of: agent, logger: logger) }
        do {
            let control = try mux.open()
            control.delegate = HeaderReader(
                control,
                onMessage: { json, count in
                    control.consumed(count)
                    self.receivedAnswer(json, on: control, from: peerKey)
                },
                onFailure: { self.mux.shutDown(.lost(reason: "the agent ended the session: \($0)")) })
            control.write(ByteBuffer(bytes: try Message.encode(SessionHello(target: target))))
        } catch {
            mux.shutDown(.misbehaved(reason: "cannot say hello: \(error)"))
        }
    }

    private func receivedAnswer(_ json: [UInt8], on control: MuxStream, from peerKey: Fingerprint) {
        timeout?.cancel()
        do throws(MessageError) {
            switch try Message.decode(Answer<SessionWelcome>.self, from: json) {
            case .accepted(let welcome):
                control.delegate = SessionControl(mux: mux)
                onReady(self, welcome, peerKey)
            case .refused(let received):
                let refusal = received.received(at: .session)
                self.refusal = refusal
                mux.shutDown(.refused(refusal))
            }
        } catch {
            mux.shutDown(.misbehaved(reason: error.description), code: .protocolError)
        }
    }

    /// Agents open no streams.
    package func muxOpened(_ stream: MuxStream) {
        stream.reset()
    }

    package func muxGoingAway(_ code: GoAwayCode) {}

    package func muxEnded(_ failure: LinkFailure) {
        timeout?.cancel()
        if let refusal { return onEnd(.refused(refusal)) }
        guard case .keyRefused = failure else { return onEnd(failure) }
        onEnd(.keyRefused(reason: "\(agent) does not accept this machine's key \(ownKey): it is not authorized there"))
    }
}

/// The session's control stream once both sides have said hello: it says nothing more, and its end is the session's.
final class SessionControl: MuxStreamDelegate {
    private let mux: SecureMux

    init(mux: SecureMux) {
        self.mux = mux
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        mux.shutDown(.misbehaved(reason: "unexpected message on the session's control stream"), code: .protocolError)
    }

    func streamFinished() {
        mux.shutDown(.lost(reason: "the other side ended the session"))
    }

    func streamReset(_ reason: String) {
        mux.shutDown(.lost(reason: "the other side ended the session"))
    }

    func streamWritable() {}
}

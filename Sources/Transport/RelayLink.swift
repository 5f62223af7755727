package import Mux
package import NIOCore
import NIOPosix
import Synchronization
package import TLSEngine
package import Wire

/// What an agent or a client needs to reach its relay.
package struct RelayDial: Sendable {
    /// Where the relay listens.
    package var relay: HostPort
    /// Client side, ALPN `adit/1`.
    package var context: TLSContext
    /// Judges the relay's key during the handshake.
    package var check: PeerCheck
    /// Told of a relay that passed the check and holds its key, on the link's event loop.
    package var trusted: @Sendable (PeerCertificate) -> Void
    /// Made anew for each dial, so that a renewed token is seen.
    package var hello: @Sendable () throws -> Hello
    /// Told of a token that is about to expire, on the link's event loop.
    package var tokenEvent: @Sendable (TokenEvent) -> Void

    /// What the properties say.
    package init(
        relay: HostPort, context: TLSContext, check: @escaping PeerCheck,
        trusted: @escaping @Sendable (PeerCertificate) -> Void, hello: @escaping @Sendable () throws -> Hello,
        tokenEvent: @escaping @Sendable (TokenEvent) -> Void
    ) {
        self.relay = relay
        self.context = context
        self.check = check
        self.trusted = trusted
        self.hello = hello
        self.tokenEvent = tokenEvent
    }
}

/// A peer's side of its link to the relay: dialed, greeted, admitted (PROTOCOL §4).
///
/// Loop-bound, but for `dial`.
package final class RelayLink: @unchecked Sendable {
    /// For the relay's answer to the hello.
    private static let helloTimeout = TimeAmount.seconds(10)

    /// Where the link lives.
    package let eventLoop: any EventLoop
    private let mux: SecureMux
    private let hello: Hello
    private let trusted: @Sendable (PeerCertificate) -> Void
    let end: EventLoopPromise<LinkFailure>
    private let isOver = Atomic(false)
    private var admitted: EventLoopPromise<RelayLink>?
    private var timeout: Scheduled<Void>?
    private var control: MuxStream?
    private var inbox = MessageBuffer()
    private let renewal: TokenRenewal
    private var refusal: Refusal?
    private var peerKey: Fingerprint?
    /// Owns the streams that the relay opens. Set it in `prepare`; without it they are reset.
    package var onOpened: ((MuxStream) -> Void)?

    init(
        mux: SecureMux, hello: Hello, dial: RelayDial, admitted: EventLoopPromise<RelayLink>
    ) {
        eventLoop = mux.eventLoop
        self.mux = mux
        self.hello = hello
        trusted = dial.trusted
        self.admitted = admitted
        renewal = TokenRenewal(of: hello.token, hello: dial.hello, onEvent: dial.tokenEvent, on: mux.eventLoop)
        end = mux.eventLoop.makePromise()
    }

    /// Dials, checks the relay's key, says hello and waits for the welcome.
    ///
    /// `prepare` runs on `eventLoop` before anything that the relay sends after its welcome is looked at. Throws
    /// `LinkFailure`, and what the dial's `hello` throws.
    package static func dial(
        _ dial: RelayDial, on eventLoop: any EventLoop, prepare: @escaping @Sendable (RelayLink) -> Void
    ) async throws -> RelayLink {
        let hello = try dial.hello()
        let attempts = Attempts()
        return try await withTaskCancellationHandler {
            let channel: any Channel
            do {
                channel = try await ClientBootstrap(group: eventLoop)
                    .connectTimeout(Link.handshakeTimeout)
                    .channelOption(.autoRead, value: false)
                    .channelInitializer { channel in
                        attempts.add(channel)
                        return channel.eventLoop.makeCompletedFuture { try Socket.configure(channel) }
                    }
                    .connect(host: dial.relay.host, port: Int(dial.relay.port)).get()
            } catch {
                throw LinkFailure.unreachable(address: dial.relay, reason: reason(of: error))
            }
            return try await eventLoop.flatSubmit {
                RelayLink.begin(dial, hello: hello, on: channel).map { link in
                    prepare(link)
                    return link
                }
            }.get()
        } onCancel: {
            attempts.closeAll()
        }
    }

    /// Begins the handshake on a connected channel, on its event loop; done when the relay has admitted us.
    private static func begin(_ dial: RelayDial, hello: Hello, on channel: any Channel) -> EventLoopFuture<RelayLink> {
        let admitted = channel.eventLoop.makePromise(of: RelayLink.self)
        do {
            let tls = try TLSConnection(context: dial.context, serverName: dial.relay.host, check: dial.check)
            let link = Link(role: .dialer, tls: tls, eventLoop: channel.eventLoop)
            link.mux.delegate = RelayLink(mux: link.mux, hello: hello, dial: dial, admitted: admitted)
            try channel.pipeline.syncOperations.addHandler(link)
            try channel.syncOptions?.setOption(.autoRead, value: true)
            if !channel.isActive { link.mux.carrierEnded("connection closed by the peer") }
        } catch {
            channel.close(promise: nil)
            admitted.fail(LinkFailure.handshake(reason: "\(error)"))
        }
        return admitted.futureResult
    }

    private static func reason(of error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError:
            if let first = error.connectionErrors.first {
                Link.reason(of: first.error)
            } else {
                "no address is known for \(error.host)"
            }
        case ChannelError.connectTimeout: "no answer within \(Link.handshakeTimeout.nanoseconds / 1_000_000_000) s"
        default: Link.reason(of: error)
        }
    }

    /// Safe from any thread, and soon out of date.
    package var hasEnded: Bool { isOver.load(ordering: .relaxed) }

    /// Whether this is the token that the relay knew us by at last. Call it once the link has ended.
    func hadToken(_ token: String) -> Bool { renewal.token == token }

    /// Opens a stream to the relay.
    package func open() throws(OpenError) -> MuxStream {
        try mux.open()
    }

    /// Waits for the link's end. Cancelled, it closes the link in good order and says why it ended all the same.
    package func ended() async throws -> LinkFailure {
        try await withTaskCancellationHandler {
            try await end.futureResult.get()
        } onCancel: {
            eventLoop.execute { self.close("shutting down") }
        }
    }

    /// Says go-away and closes.
    package func close(_ reason: String) {
        eventLoop.assertInEventLoop()
        mux.shutDown(.lost(reason: reason))
    }
}

extension RelayLink: SecureMuxDelegate {
    package func muxEstablished(peerKey: Fingerprint) {
        self.peerKey = peerKey
        if let peer = mux.peer { trusted(peer) }
        do {
            let control = try mux.open()
            control.delegate = self
            self.control = control
            control.write(ByteBuffer(bytes: try Message.encode(hello)))
        } catch {
            mux.shutDown(.misbehaved(reason: "cannot say hello: \(error)"))
        }
        timeout = eventLoop.assumeIsolated().scheduleTask(in: RelayLink.helloTimeout) {
            guard self.admitted != nil else { return }
            self.mux.shutDown(.lost(reason: "the relay did not answer the hello"))
        }
    }

    package func muxOpened(_ stream: MuxStream) {
        guard admitted == nil, let onOpened else { return stream.reset() }
        onOpened(stream)
    }

    /// The relay takes no new tunnels; those that are open go on until it ends the link.
    package func muxGoingAway(_ code: GoAwayCode) {}

    package func muxEnded(_ failure: LinkFailure) {
        timeout?.cancel()
        renewal.cancel()
        var failure = refusal.map { LinkFailure.refused($0) } ?? failure
        if case .untrusted(let reason, nil) = failure { failure = .untrusted(reason: reason, peerKey: peerKey) }
        if let admitted {
            self.admitted = nil
            admitted.fail(failure)
        }
        onOpened = nil
        isOver.store(true, ordering: .relaxed)
        end.succeed(failure)
    }
}

extension RelayLink: MuxStreamDelegate {
    package func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        control?.consumed(bytes.count)
        var rest = bytes[...]
        do throws(MessageError) {
            while !rest.isEmpty {
                let (consumed, json) = try inbox.take(UnsafeRawBufferPointer(rebasing: rest))
                rest = rest.dropFirst(consumed)
                if let json { try received(json) }
            }
        } catch {
            mux.shutDown(.misbehaved(reason: error.description), code: .protocolError)
        }
    }

    private func received(_ json: [UInt8]) throws(MessageError) {
        guard let admitted else {
            let notice = try Message.decode(Notice.self, from: json)
            if let ending = notice.ending { refusal = ending }
            if let answer = notice.renewal { renewal.received(answer) }
            if let seconds = notice.tokenExpiresIn {
                renewal.expires(inSeconds: seconds) { [weak self] in self?.say($0) }
            }
            return
        }
        switch try Message.decode(Answer<Welcome>.self, from: json) {
        case .accepted:
            timeout?.cancel()
            self.admitted = nil
            admitted.succeed(self)
        case .refused(let refusal):
            self.refusal = refusal
            mux.shutDown(.refused(refusal))
        }
    }

    private func say(_ renewal: Renewal) {
        guard let control, let bytes = try? Message.encode(renewal) else { return }
        control.write(ByteBuffer(bytes: bytes))
    }

    package func streamFinished() {
        mux.shutDown(.lost(reason: "the relay ended the control stream"))
    }

    package func streamReset(_ reason: String) {
        mux.shutDown(.lost(reason: "the relay reset the control stream"))
    }

    package func streamWritable() {}
}

/// The connections of one dial, a name's addresses being tried beside each other, so that they can be given up.
private final class Attempts: Sendable {
    private enum State {
        case open([any Channel])
        case closed
    }

    private let state = Mutex(State.open([]))

    func add(_ channel: any Channel) {
        let isClosed = state.withLock { state in
            guard case .open(let channels) = state else { return true }
            state = .open(channels + [channel])
            return false
        }
        if isClosed { channel.close(promise: nil) }
    }

    func closeAll() {
        let channels: [any Channel] = state.withLock { state in
            guard case .open(let channels) = state else { return [] }
            state = .closed
            return channels
        }
        for channel in channels { channel.close(promise: nil) }
    }
}

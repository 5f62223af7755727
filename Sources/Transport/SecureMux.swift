import DequeModule
package import Mux
package import NIOCore
package import TLSEngine
package import Wire

/// Who owns a `SecureMux`. All calls come on its event loop.
package protocol SecureMuxDelegate: AnyObject {
    /// The TLS handshake is done; streams may be opened.
    func muxEstablished(peerKey: Fingerprint)
    /// The peer opened a stream: set its delegate now, and `accept` it or `reset` it.
    func muxOpened(_ stream: MuxStream)
    /// The peer opens no more streams and takes none.
    func muxGoingAway(_ code: GoAwayCode)
    /// It is over. Called once; every stream has been told before.
    func muxEnded(_ failure: LinkFailure)
}

/// TLS and yamux over a carrier, in one piece with raw buffers between them: a link when the carrier is a TCP
/// connection, a session when it is a tunnel stream.
///
///     handshaking ──► running ──► ended
///          └─────────────────────────┘
///
/// Received ciphertext is decrypted into scratch memory of the event loop and taken apart in place. Spliced frames are
/// re-addressed where they lie and sealed from there for their link; everything else is handed to the stream's delegate.
/// Small frames to send gather in a staging buffer and share a TLS record.
///
/// `@unchecked Sendable`: all its state lives on `eventLoop`; other loops only hold the reference. `eventLoop` itself
/// changes at most once, when a link moves, while no other loop may ask for it (see `Link.move`).
package final class SecureMux: @unchecked Sendable {
    enum Phase {
        case handshaking
        case running
        case ended
    }

    /// Ciphertext that may gather before it is handed to the carrier, in bytes.
    static let batch = TurnLength.long
    /// Pings sent one after the other at the start, so that the shortest round trip is known.
    static let firstPings = 3
    /// Bytes of control frames that may pile up for a peer that does not read.
    static let controlLimit = 256 * 1024

    /// Where everything about it happens.
    package private(set) var eventLoop: any EventLoop
    private(set) var loop: LoopContext
    let tls: TLSConnection
    var session: Session
    var phase = Phase.handshaking
    var streams: StreamTable<MuxStream>
    /// Held until the end, as the carrier is.
    package var delegate: (any SecureMuxDelegate)?
    var carrier: (any Carrier)?

    // Receiving: what of a frame has come, between two reads.
    var partialHeader: [UInt8] = []
    var current: CurrentFrame?
    var run: SplicedRun?
    /// Frames without payload since they were last held against `controlFrames`.
    var uncountedFrames = 0
    var controlFrames: RateLimit

    // Sending.
    var staging: UnsafeMutableRawBufferPointer?
    var staged = 0
    var sealed = ByteBuffer()
    var isDirty = false
    /// Streams that have something to send, in turn: a little, or much.
    var quick: Deque<MuxStream> = []
    var ready: Deque<MuxStream> = []
    /// Streams that have sent all they had, and whose owners wait to write more, in turn.
    var line: Deque<MuxStream> = []
    /// Those in line and those that are ready take turns.
    var isTurnOfLine = false
    /// What a turn may have.
    var turnLength = TurnLength()
    /// The stream whose owner is being told that it is its turn.
    var asked: MuxStream?
    /// The read cycle in which owners were told last. In each they are in one flush only: what arrives has its turn too.
    var askedCycle: UInt64 = 0
    /// The rest of the line is due in a later turn of the event loop.
    var isLineDue = false
    /// Spliced streams whose peers' credit is withheld while the carrier is full.
    var withheld: [StreamID: Int] = [:]
    /// Control frames written since the carrier was last writable, in bytes.
    var unreadControl = 0
    /// What its windows have of the event loop's budget, in bytes.
    private var growth = 0
    private var pings: UInt32 = 0
    private var pinged = NIODeadline.now()

    /// A mux that has not begun; see `start`. Call it on `eventLoop`.
    package init(
        role: Session.Role, tls: TLSConnection, limits: Limits, eventLoop: any EventLoop
    ) {
        self.eventLoop = eventLoop
        self.tls = tls
        loop = LoopContext.of(eventLoop)
        let secret = UInt64.random(in: .min ... .max)
        session = Session(role: role, limits: limits, secret: secret)
        streams = StreamTable(secret: secret)
        controlFrames = RateLimit(
            perSecond: limits.controlFramesPerSecond, now: Int64(bitPattern: NIODeadline.now().uptimeNanoseconds))
    }

    deinit {
        staging?.deallocate()
    }

    /// Begins the handshake over `carrier`.
    package func start(on carrier: any Carrier) {
        eventLoop.assertInEventLoop()
        self.carrier = carrier
        receive(UnsafeRawBufferPointer(start: nil, count: 0))
    }

    /// Takes from the event loop's budget what windows have grown to, or gives back what they have come down by.
    func account(for growth: Int) {
        loop.spareWindow -= growth - self.growth
        self.growth = growth
    }

    /// Its carrier has come to another event loop, which calls this. Nothing is spliced, sealed or staged, and nobody is
    /// in line.
    func moved(to eventLoop: any EventLoop) {
        assert(line.isEmpty && !isLineDue)
        loop = LoopContext.of(eventLoop)
        self.eventLoop = eventLoop
        for stream in streams.values { stream.eventLoop = eventLoop }
        account(for: session.grown)
    }

    /// Who is at the other end; nil before the handshake is done.
    package var peer: PeerCertificate? { tls.peer }

    /// Past the handshake, and not ended.
    package var isRunning: Bool { phase == .running }

    package var hasEnded: Bool { phase == .ended }

    /// Streams open now, both sides'.
    package var streamCount: Int { streams.count }

    /// Opens a stream. The caller sets its delegate before it returns to the event loop.
    package func open() throws(OpenError) -> MuxStream {
        eventLoop.assertInEventLoop()
        guard phase == .running else { throw .sessionEnding }
        let (id, header) = try session.open()
        let stream = MuxStream(id: id, mux: self)
        streams[id] = stream
        put(header)
        return stream
    }

    /// Measures a round trip: a sign of life for links, and what windows grow by.
    func ping() {
        guard phase == .running else { return }
        pings &+= 1
        pinged = .now()
        put(session.ping(pings))
    }

    /// The shortest round trip that was measured; zero before the first.
    var roundTrip: TimeAmount { .nanoseconds(session.shortestRoundTrip) }

    func receivedPong(_ value: UInt32) {
        guard value == pings else { return }
        let roundTrip = NIODeadline.now() - pinged
        session.measured(roundTrip: roundTrip.nanoseconds)
        carrier?.measured(roundTrip: roundTrip)
        // The first ones find both hosts busy with the handshake.
        if pings < SecureMux.firstPings { ping() }
    }

    /// Ends it in good order: go-away, close_notify, then the carrier. Every stream hears `reason`.
    package func shutDown(_ failure: LinkFailure, code: GoAwayCode = .normal) {
        eventLoop.assertInEventLoop()
        guard phase != .ended else { return }
        if phase == .running {
            put(session.goAway(code))
            sealStaging()
            tls.close()
        }
        end(failure)
    }

    /// The carrier is gone, with or without a word.
    package func carrierEnded(_ reason: String) {
        eventLoop.assertInEventLoop()
        switch phase {
        case .handshaking: end(.handshake(reason: reason))
        case .running: end(.lost(reason: reason))
        case .ended: break
        }
    }

    /// Sends what is left, lets go of everything, and tells everybody.
    func end(_ failure: LinkFailure) {
        guard phase != .ended else { return }
        sealStaging()
        takeTLSOutput()
        sendSealed()
        phase = .ended
        let carrier = carrier
        self.carrier = nil
        let orphans = streams.values
        streams.removeAll()
        quick = []
        ready = []
        line = []
        account(for: 0)
        for stream in orphans { abandon(stream, reason: failure.description) }
        carrier?.close()
        delegate?.muxEnded(failure)
        delegate = nil
    }

    /// Takes the stream from its owner, or from the peer it is spliced to.
    func abandon(_ stream: MuxStream, reason: String) {
        let peer = stream.splice?.peer
        let owner = stream.delegate
        stream.detach()
        peer?.hop { $0.reset() }
        owner?.streamReset(reason)
    }
}

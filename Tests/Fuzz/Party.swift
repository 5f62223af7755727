import EndToEnd
import Mux
import NIOCore
import NIOEmbedded
import TLSEngine
import Wire

@testable import Transport

/// The agent or connect that is tried, with a program behind it that gives back what it gets.
final class Party {
    let end: FarEnd
    private let role: PeerRole
    private let trustsEverybody: Bool
    private let clients: AuthorizedClients?
    private var link: RelayLink?
    private var begun = 0
    private var ended = 0
    private var hasLinkEnded = false

    init(_ role: PeerRole, trustsEverybody: Bool) {
        self.role = role
        self.trustsEverybody = trustsEverybody
        Array("\(SessionFixture.own.fingerprint)\n".utf8).withUnsafeBytes { write($0, to: "clients") }
        clients = trustsEverybody ? nil : try? AuthorizedClients(path: "clients")
        do {
            let tls = try TLSConnection(context: SessionFixture.near, serverName: nil) { _ in .accept }
            let far = try TLSConnection(context: SessionFixture.far, serverName: nil) { _ in .accept }
            let mux = SecureMux(role: .dialer, tls: tls, limits: Limits(), eventLoop: SessionFixture.eventLoop)
            end = FarEnd(mux: mux, tls: far)
            begin(mux)
        } catch {
            fail("\(error)")
        }
    }

    private func begin(_ mux: SecureMux) {
        let role = role
        let count = Counter()
        // A new token each time, as a file has it that is renewed.
        let hello: @Sendable () -> Hello = {
            Hello(
                role: role, token: BearerToken("token-\(count.next())"), agentID: AgentID("db"), software: "fuzz")
        }
        let dial = RelayDial(
            relay: SessionFixture.target, context: SessionFixture.near, check: { _ in .accept }, trusted: { _ in },
            hello: hello,
            tokenEvent: { _ in })
        let admitted = SessionFixture.eventLoop.makePromise(of: RelayLink.self)
        let link = RelayLink(mux: mux, hello: hello(), dial: dial, admitted: admitted)
        self.link = link
        mux.delegate = link
        admitted.futureResult.assumeIsolated().whenSuccess { self.admitted($0) }
        link.end.futureResult.assumeIsolated().whenSuccess { _ in self.hasLinkEnded = true }
        mux.start(on: end)
    }

    private func admitted(_ link: RelayLink) {
        guard role == .client else { return link.onOpened = { self.receivedOffer(on: $0) } }
        guard let stream = try? link.open() else { return }
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                stream.consumed(count)
                guard case .accepted? = try? Message.decode(Answer<Accepted>.self, from: json) else {
                    return stream.reset()
                }
                self.connect(over: stream)
            },
            onFailure: { _ in })
        stream.write(ByteBuffer(bytes: message(TunnelRequest(agentID: AgentID("db")!))))
    }

    private func receivedOffer(on stream: MuxStream) {
        stream.accept()
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                stream.returnCredit(count)
                guard let offer = try? Message.decode(TunnelOffer.self, from: json) else { return stream.reset() }
                self.serve(offer, over: stream)
            },
            onFailure: { _ in })
    }

    private func serve(_ offer: TunnelOffer, over stream: MuxStream) {
        begun += 1
        var isReady = false
        var isOver = false
        let session = try? AgentSession(
            carrier: stream, tls: SessionTLS(role: .agent, identity: SessionFixture.own), offer: offer,
            clients: clients,
            target: SessionFixture.target, mostForwards: 4
        ) { event in
            expect(!isOver, "something follows a session's end")
            switch event {
            case .ready:
                expect(!isReady && self.trustsEverybody, "a session with somebody who is not trusted")
                isReady = true
            case .forward(let stream):
                expect(
                    isReady && offer.allowedAddresses?.contains("\(SessionFixture.target)") ?? true,
                    "a forward that is not allowed")
                stream.delegate = GiveBack(stream)
            case .forwardRefused(let request, _):
                expect(
                    request.target != SessionFixture.target || offer.allowedAddresses != nil, "the target is refused")
            case .ended:
                isOver = true
                self.ended += 1
            }
        }
        guard session != nil else { return begun -= 1 }
        stream.answer(Answer<Accepted>.accepted(Accepted()))
    }

    private func connect(over stream: MuxStream) {
        begun += 1
        var isReady = false
        var isOver = false
        _ = try? ConnectSession(
            carrier: stream, tls: SessionTLS(role: .connect, identity: SessionFixture.own),
            trust: .pinned(trustsEverybody ? SessionFixture.relay.fingerprint : SessionFixture.own.fingerprint),
            agent: AgentID("db")!, target: nil, logger: SessionFixture.logger,
            onReady: { session, welcome, _ in
                expect(!isReady && !isOver && self.trustsEverybody, "a session with somebody who is not trusted")
                isReady = true
                for _ in 0..<2 {
                    guard let forward = try? session.openForward(to: welcome.target) else { continue }
                    forward.delegate = GiveBack(forward)
                }
            },
            onEnd: { _ in
                expect(!isOver, "a session ends twice")
                isOver = true
                self.ended += 1
            })
    }

    func settle() {
        repeat { SessionFixture.eventLoop.run() } while end.exchange()
    }

    func reads(_ reads: Bool) {
        guard reads != end.isWritable else { return }
        end.isWritable = reads
        if reads { end.mux.carrierWritable() }
    }

    func wait(seconds: Int64) {
        SessionFixture.eventLoop.advanceTime(by: .seconds(seconds))
    }

    /// The link ends, and with it all that was on it.
    func finish() {
        end.onPlaintext = { _ in }
        end.mux.carrierEnded("the end of the input")
        settle()
        wait(seconds: 60)
        expect(begun == ended, "\(ended) of \(begun) sessions have ended")
        expect(hasLinkEnded && end.mux.streamCount == 0, "the link has not ended")
    }
}

/// Used by one thread.
private final class Counter: @unchecked Sendable {
    private var value = 0

    func next() -> Int {
        value += 1
        return value
    }
}

private final class GiveBack: MuxStreamDelegate {
    private let stream: MuxStream

    init(_ stream: MuxStream) { self.stream = stream }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream.write(ByteBuffer(bytes: bytes))
        stream.consumed(bytes.count)
    }

    func streamFinished() { stream.finish() }
    func streamReset(_ reason: String) {}
    func streamWritable() {}
}

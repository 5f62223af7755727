import Mux
import NIOCore
import NIOEmbedded
import TLSEngine
import Transport
import Wire

/// connect, relay and agent on one event loop: two links, whose streams the relay splices.
///
///     client ══ link ══ relay ══ link ══ agent
///
/// Streams' windows stay as they begin: they would grow by measured time.
final class SplicedLinks {
    private let eventLoop = EmbeddedEventLoop()
    private let client: SecureMux
    private let carriers: [MemoryCarrier]

    /// Shakes hands on both links. `onOpened` owns the streams that reach the agent.
    init(onOpened: @escaping (MuxStream) -> Void) throws {
        let contexts = try Contexts()
        let limits = Limits(growthBudget: 0)
        let eventLoop = eventLoop
        let client = try SecureMux(role: .dialer, tls: contexts.dialer(), limits: limits, eventLoop: eventLoop)
        let front = try SecureMux(role: .acceptor, tls: contexts.acceptor(), limits: limits, eventLoop: eventLoop)
        let back = try SecureMux(role: .acceptor, tls: contexts.acceptor(), limits: limits, eventLoop: eventLoop)
        let agent = try SecureMux(role: .dialer, tls: contexts.dialer(), limits: limits, eventLoop: eventLoop)
        self.client = client
        client.delegate = LinkEnd { $0.reset() }
        front.delegate = LinkEnd { stream in
            stream.accept()
            guard let onward = try? back.open() else { return stream.reset() }
            onward.splice(to: stream, turn: .free)
            stream.splice(to: onward, turn: .free)
        }
        back.delegate = LinkEnd { $0.reset() }
        agent.delegate = LinkEnd(onOpened)

        let muxes = [client, front, back, agent]
        let peers = [front, client, agent, back]
        carriers = peers.map(MemoryCarrier.init)
        for (mux, carrier) in zip(muxes, carriers) { mux.start(on: carrier) }
        run()
        guard muxes.allSatisfy(\.isRunning) else { throw WorkDiffers(description: "a link did not come up") }
    }

    func open() throws -> MuxStream {
        try client.open()
    }

    /// Lets everything that is under way arrive. As on a socket, a read cycle takes one read, and flushes once.
    func run() {
        var isBusy = true
        while isBusy {
            eventLoop.run()
            isBusy = false
            for carrier in carriers where carrier.deliver() {
                isBusy = true
                eventLoop.run()
            }
        }
    }
}

/// The owner of one end of a link.
private final class LinkEnd: SecureMuxDelegate {
    private let onOpened: (MuxStream) -> Void

    init(_ onOpened: @escaping (MuxStream) -> Void) {
        self.onOpened = onOpened
    }

    func muxEstablished(peerKey: Fingerprint) {}

    func muxOpened(_ stream: MuxStream) {
        onOpened(stream)
    }

    func muxGoingAway(_ code: GoAwayCode) {}

    func muxEnded(_ failure: LinkFailure) {}
}

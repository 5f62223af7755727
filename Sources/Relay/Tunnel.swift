import Logging
import NIOCore
import Synchronization
import Tokens
import Transport
import Wire

/// One tunnel at the relay: a stream of a client's link and one of an agent's, spliced (PROTOCOL §5).
///
/// Once they are joined, `Transport` moves the frames and this only hears of the end.
enum Tunnel {
    /// A client has opened a stream: read whom it wants to reach, and join it with that agent or refuse.
    static func begin(on stream: MuxStream, of link: PeerLink, claims: Claims, ip: String, hall: Hall) {
        stream.accept()
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                do throws(MessageError) {
                    let request = try Message.decode(TunnelRequest.self, from: json)
                    open(
                        to: request.agentID, for: stream, of: link, requestBytes: count, claims: claims, ip: ip,
                        hall: hall)
                } catch {
                    stream.refuse(Refusal(.malformedMessage, error.description))
                }
            },
            onFailure: { hall.logger.debug("Tunnel ended before it began: ip=\(ip), reason=\($0)") })
    }

    private static func open(
        to agentID: AgentID, for client: MuxStream, of link: PeerLink, requestBytes: Int, claims: Claims, ip: String,
        hall: Hall
    ) {
        let parties = "client-id=\(Printable(claims.subject)), agent-id=\(agentID), ip=\(ip)"
        if claims.expiresAt <= hall.now() {
            hall.logger.warning("Tunnel refused: \(parties), reason=the token has expired")
            return client.refuse(Refusal(.tokenExpired, "the token has expired"))
        }
        if let refusal = hall.authorization.objection(toReaching: agentID, claims: claims) {
            hall.logger.warning("Tunnel refused: \(parties), reason=\(refusal)")
            return client.refuse(refusal)
        }
        guard let agent = hall.registry.link(of: agentID) else {
            hall.logger.warning("Agent not found: \(agentID), \(parties)")
            return client.refuse(Refusal(.agentNotFound, "no agent is registered as \(agentID)"))
        }
        let place: TunnelPlace
        do throws(Refusal) {
            place = try hall.tunnels.place(client: claims.subject, agent: agentID)
        } catch {
            hall.limitedLog.warning("Tunnel refused: \(parties), reason=\(error)")
            return client.refuse(error)
        }
        let ends = TunnelEnds(parties, hall.logger, place)
        client.delegate = TunnelHalf(client, ends)
        let offer = TunnelOffer(
            clientID: claims.subject, clientAddress: ip, allowedAddresses: claims.allowedAddresses)
        let join: @Sendable () -> Void = {
            do {
                let bytes = try Message.encode(offer)
                let stream = try agent.mux.open()
                stream.delegate = TunnelHalf(stream, ends)
                // On its way before anything can be spliced: a client must not be able to speak in the relay's place.
                guard stream.writeNow(ByteBuffer(bytes: bytes)) else { return stream.reset() }
                hall.logger.info("Tunnel opened: \(parties)")
                stream.splice(to: client, sent: bytes.count, settlement: requestBytes, turn: .answers)
                client.hop { $0.splice(to: stream, turn: .awaitsAnswer) }
            } catch {
                client.hop { $0.refuse(Refusal(.agentNotFound, "the agent \(agentID) takes no tunnels now: \(error)")) }
            }
        }
        link.settle(near: agent) {
            if agent.mux.eventLoop.inEventLoop { join() } else { agent.mux.eventLoop.execute(join) }
        }
    }
}

/// What both halves of a tunnel know of its end, so that it is logged once.
private final class TunnelEnds: Sendable {
    private let parties: String
    private let logger: Logger
    /// Halves that have not finished yet; 0 once the end has been logged.
    private let open = Atomic(2)
    /// Taken for as long as either half is there.
    private let place: TunnelPlace

    init(_ parties: String, _ logger: Logger, _ place: TunnelPlace) {
        self.parties = parties
        self.logger = logger
        self.place = place
    }

    func finished() {
        if open.subtract(1, ordering: .relaxed).newValue == 0 { log("finished by both sides") }
    }

    func reset(_ reason: String) {
        if open.exchange(0, ordering: .relaxed) > 0 { log(reason) }
    }

    private func log(_ reason: String) {
        logger.info("Tunnel closed: \(parties), reason=\(reason)")
    }
}

/// Hears of the end of one stream of a tunnel. Spliced bytes never come here.
private final class TunnelHalf: MuxStreamDelegate {
    private let stream: MuxStream
    private let ends: TunnelEnds

    init(_ stream: MuxStream, _ ends: TunnelEnds) {
        self.stream = stream
        self.ends = ends
    }

    /// Bytes before the tunnel is joined: PROTOCOL §5 has the client wait for the agent's answer.
    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        stream.reset()
        ends.reset("data before the agent's answer")
    }

    func streamFinished() {
        ends.finished()
    }

    func streamReset(_ reason: String) {
        ends.reset(reason)
    }

    func streamWritable() {}
}

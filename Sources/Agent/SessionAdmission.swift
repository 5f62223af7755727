import EndToEnd
import Logging
import Transport
import Wire

/// Takes the tunnels that the relay offers and runs a session over each.
struct SessionAdmission: Sendable {
    let tls: SessionTLS
    let clients: AuthorizedClients?
    let forwards: Forwards
    let logger: Logger

    /// The relay has opened a tunnel stream: read its offer, accept, and wait for the client's handshake.
    func receivedOffer(on stream: MuxStream) {
        stream.accept()
        stream.delegate = HeaderReader(
            stream,
            onMessage: { json, count in
                // Before the answer, so that the relay knows whose credit it is (PROTOCOL §5).
                stream.returnCredit(count)
                do {
                    try self.begin(Message.decode(TunnelOffer.self, from: json), on: stream)
                } catch {
                    self.logger.warning("Tunnel refused: reason=\(error)")
                    stream.refuse(Refusal(.malformedMessage, "\(error)"))
                }
            },
            onFailure: { self.logger.debug("Tunnel ended before it began: reason=\($0)") })
    }

    private func begin(_ offer: TunnelOffer, on stream: MuxStream) throws {
        let client = Printable(offer.clientID)
        // The relay's word for who the client is counts for nothing here: only its key does.
        _ = try AgentSession(
            carrier: stream, tls: tls, offer: offer, clients: clients, target: forwards.target
        ) { event in
            switch event {
            case .ready(let key):
                self.logger.info(
                    "Session opened: client-id=\(client), key=\(key), ip=\(Printable(offer.clientAddress))")
            case .forward(let stream, let request):
                self.forwards.open(request, on: stream, for: client)
            case .ended(let failure):
                self.logger.info("Session ended: client-id=\(client), reason=\(failure)")
            }
        }
        stream.answer(Answer<Accepted>.accepted(Accepted()))
    }
}

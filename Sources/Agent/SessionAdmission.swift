import EndToEnd
import Logging
import Transport
import Wire

/// Takes the tunnels that the relay offers and runs a session over each.
struct SessionAdmission: Sendable {
    let tls: SessionTLS
    let clients: AuthorizedClients?
    let allowedClients: [String]?
    let forwards: Forwards
    let mostForwards: Int
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
        // The relay's word for who the client is can only narrow what comes in: the key that is checked next is what a relay
        // cannot make up.
        if let allowedClients, !allowedClients.contains(where: { $0.utf8.elementsEqual(offer.clientID.utf8) }) {
            logger.warning(
                "Tunnel refused: client-id=\(client), ip=\(Printable(offer.clientAddress)), reason=not an allowed client"
            )
            return stream.refuse(Refusal(.clientForbidden, "this agent does not allow the client \(client)"))
        }
        _ = try AgentSession(
            carrier: stream, tls: tls, offer: offer, clients: clients, target: forwards.target,
            mostForwards: mostForwards
        ) { event in
            switch event {
            case .ready(let key):
                self.logger.info(
                    "Session opened: client-id=\(client), key=\(key), ip=\(Printable(offer.clientAddress))")
            case .forward(let stream):
                self.forwards.open(stream, for: client)
            case .forwardRefused(let request, let refusal):
                self.logger.warning(
                    "Forward refused: client-id=\(client), target=\(Printable(request.target.description)), reason=\(refusal)"
                )
            case .ended(let failure):
                self.logger.info("Session ended: client-id=\(client), reason=\(failure)")
            }
        }
        stream.answerAccepted()
    }
}

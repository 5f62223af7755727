package import Logging
package import TLSEngine
package import Transport
package import Wire

extension RelayDial {
    /// A dial that believes the relay as `trust` says, and presents this machine's identity and token.
    package init(
        relay: HostPort, identity: Identity, trust: KeyTrust, role: PeerRole, agentID: AgentID?,
        token: @escaping TokenSource, logger: Logger
    ) throws(TLSError) {
        let context = try TLSContext(
            role: .client, identity: identity, alpn: Protocol.linkALPN, authorities: trust.relayAuthorities)
        self.init(
            relay: relay, context: context, check: trust.check("relay \(relay)"),
            trusted: { trust.remember($0, of: "relay \(relay)", logger: logger) },
            hello: {
                Hello(role: role, token: try token(), agentID: agentID, software: Software.name)
            },
            tokenEvent: { logger.log($0) })
    }
}

extension Logger {
    fileprivate func log(_ event: TokenEvent) {
        switch event {
        case .expiring(let seconds): notice("Token expires in \(seconds) s")
        case .renewed: notice("Token renewed")
        case .notRenewed(let reason): warning("Token not renewed: \(Printable(reason))")
        }
    }
}

extension KeyTrust {
    /// Remembers a key seen for the first time, and says so; a file that cannot be written is no reason to stop.
    package func remember(_ peer: PeerCertificate, of noun: String, logger: Logger) {
        do throws(KnownKeysError) {
            switch try remember(peer) {
            case .firstUse: logger.notice("Key remembered on first use: \(noun), key=\(peer.fingerprint)")
            case .rotation(let old): logger.notice("Key rotated: \(noun), from=\(old), key=\(peer.fingerprint)")
            case nil: break
            }
        } catch {
            logger.error("Key not remembered: \(noun), key=\(peer.fingerprint), reason=\(error)")
        }
    }
}

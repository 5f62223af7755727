package import Tokens
package import Transport
package import Wire

/// What a relay needs to know.
package struct RelayConfiguration: Sendable {
    let listen: HostPort
    let portRange: ClosedRange<UInt16>?
    let identity: Identity
    let verifier: TokenVerifier
    let revocations: Revocations
    let requireScope: Bool
    let limits: RelayLimits
    let giveBackMemory: @Sendable () -> Void

    /// - Parameters:
    ///   - listen: port 0 chooses one, out of `portRange` if that is given.
    ///   - identity: the certificate and key that peers see.
    ///   - verifier, revocations: which tokens to take; `Relay.use` replaces either later.
    ///   - requireScope: refuse tokens without `role`, and clients' without `allowed_agents`.
    ///   - limits: what others may have at once.
    ///   - giveBackMemory: called when a crowd of connections has left.
    package init(
        listen: HostPort, portRange: ClosedRange<UInt16>?, identity: Identity, verifier: TokenVerifier,
        revocations: Revocations, requireScope: Bool, limits: RelayLimits,
        giveBackMemory: @escaping @Sendable () -> Void
    ) {
        self.listen = listen
        self.portRange = portRange
        self.identity = identity
        self.verifier = verifier
        self.revocations = revocations
        self.requireScope = requireScope
        self.limits = limits
        self.giveBackMemory = giveBackMemory
    }
}

/// Why a relay cannot begin.
package enum RelayFailure: Error {
    case cannotListen(address: HostPort, reason: String)
}

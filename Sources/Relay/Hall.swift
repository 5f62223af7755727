import Logging
import Tokens

/// What all links of a relay share: who may come in, and who is there.
struct Hall: Sendable {
    let policy: TokenPolicy
    let authorization: Authorization
    let limits: RelayLimits
    let door: Door
    let tunnels: TunnelTable
    let registry = Registry()
    let links = LinkTable()
    let logger: Logger
    let limitedLog: LimitedLog
    /// Seconds since 1970.
    let now: @Sendable () -> Int64

    init(
        policy: TokenPolicy, authorization: Authorization, limits: RelayLimits, logger: Logger,
        now: @escaping @Sendable () -> Int64
    ) {
        self.policy = policy
        self.authorization = authorization
        self.limits = limits
        door = Door(limits: limits)
        tunnels = TunnelTable(limits: limits)
        self.logger = logger
        limitedLog = LimitedLog(logger)
        self.now = now
    }
}

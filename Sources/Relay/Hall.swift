import Logging
import Tokens

/// What all links of a relay share: who may come in, and who is there.
struct Hall: Sendable {
    let policy: TokenPolicy
    let authorization: Authorization
    let registry = Registry()
    let links = LinkTable()
    let logger: Logger
    /// Seconds since 1970.
    let now: @Sendable () -> Int64
}

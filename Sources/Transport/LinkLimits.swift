package import Mux

/// What a relay allows a peer on one link.
package struct LinkLimits: Sendable {
    /// Bytes that may wait for the peer to read them: those in flight on all its tunnels when it stops.
    package var bufferedBytes = 64 * 1024 * 1024
    /// What waits on all links; nil where nobody counts.
    package var backlogs: Backlogs?
    /// The multiplexer's.
    package var mux = Limits()

    /// Those of a link with nobody else's beside it.
    package init() {}
}

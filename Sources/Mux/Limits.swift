import Wire

/// What this side allows; none of it is on the wire.
package struct Limits: Sendable {
    /// Streams open at once, both sides' together.
    package var streams: Int
    /// Streams the peer has opened and this side has not accepted yet; one more is reset.
    package var unacceptedStreams: Int
    /// Bytes that all windows together may grow beyond their initial 256 KiB.
    package var growthBudget: Int
    /// Bytes that one stream's window may grow to.
    package var largestWindow: Int
    /// Frames without payload that the peer may send in a second: openings, credit, pings, resets.
    package var controlFramesPerSecond: Int

    /// The defaults are those of a session between two peers.
    package init(
        streams: Int = 16_384,
        unacceptedStreams: Int = 256,
        growthBudget: Int = 64 * 1024 * 1024,
        largestWindow: Int = Protocol.largestWindow,
        controlFramesPerSecond: Int = 200_000
    ) {
        self.streams = streams
        self.unacceptedStreams = unacceptedStreams
        self.growthBudget = growthBudget
        self.largestWindow = largestWindow
        self.controlFramesPerSecond = controlFramesPerSecond
    }
}

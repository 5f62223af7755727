/// The number of a stream within one session (yamux, "StreamID"). Zero is the session itself.
public struct StreamID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The number on the wire.
    public let rawValue: UInt32

    /// Any number; whether it may be opened is the session's to judge.
    package init(_ rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// Frames that concern the session as a whole (ping, go-away) carry this ID.
    package static let session = StreamID(0)

    /// Whether the side that dialed (the yamux client) may open a stream of this ID.
    package var isOpenedByDialer: Bool { rawValue % 2 == 1 }

    /// In the order in which one side opens them.
    public static func < (left: StreamID, right: StreamID) -> Bool {
        left.rawValue < right.rawValue
    }

    /// The number, in decimal.
    public var description: String { String(rawValue) }
}

/// The 12 bytes before every frame: yamux version 0 (PROTOCOL §3.1).
///
///     0        1        2                 4                          8                         12
///     +--------+--------+-----------------+--------------------------+--------------------------+
///     | version|  type  |      flags      |         stream ID        |          length          |
///     +--------+--------+-----------------+--------------------------+--------------------------+
///
/// All fields are big-endian. `length` is a byte count for data, a credit for window updates, an opaque value for
/// pings and a code for go-aways; only data frames are followed by a payload.
package struct FrameHeader: Equatable, Sendable {
    /// The frame types of yamux version 0.
    package enum Kind: UInt8, Sendable, CaseIterable {
        case data = 0
        case windowUpdate = 1
        case ping = 2
        case goAway = 3
    }

    /// The flags of yamux version 0. On a ping, `syn` asks and `ack` answers.
    package struct Flags: OptionSet, Sendable, Hashable {
        package let rawValue: UInt16

        /// Any 16 bits; decoding a header refuses those that yamux does not define.
        package init(rawValue: UInt16) {
            self.rawValue = rawValue
        }

        /// Opens a stream; on a ping, asks.
        package static let syn = Flags(rawValue: 1)
        /// Accepts a stream; on a ping, answers.
        package static let ack = Flags(rawValue: 2)
        /// Ends the sender's half of a stream.
        package static let fin = Flags(rawValue: 4)
        /// Gives a stream up, in both directions.
        package static let rst = Flags(rawValue: 8)
        static let known: Flags = [.syn, .ack, .fin, .rst]

        /// `contains` for a single flag, which the optimizer does not make as short.
        package func has(_ flag: Flags) -> Bool { rawValue & flag.rawValue != 0 }
    }

    /// Bytes in an encoded header.
    package static let size = 12
    static let version: UInt8 = 0

    /// What the frame is.
    package var kind: Kind
    /// What it does to its stream.
    package var flags: Flags
    /// Its stream; `.session` for pings and go-aways.
    package var streamID: StreamID
    /// By kind: bytes of payload, bytes of credit, a ping's value, a go-away's code.
    package var length: UInt32

    /// A header to send.
    package init(_ kind: Kind, flags: Flags = [], streamID: StreamID, length: UInt32) {
        self.kind = kind
        self.flags = flags
        self.streamID = streamID
        self.length = length
    }

    /// Bytes that follow the header.
    package var payloadLength: Int { kind == .data ? Int(length) : 0 }

    /// Decodes the first 12 bytes of `bytes`, which must hold at least as many.
    ///
    /// Throws for a version, type or flag that yamux version 0 does not define: all are session errors.
    package init(_ bytes: UnsafeRawBufferPointer) throws(FrameError) {
        guard bytes.count >= FrameHeader.size else { throw .truncated }
        let word = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt32.self))
        let version = UInt8(truncatingIfNeeded: word >> 24)
        guard version == FrameHeader.version else { throw .unknownVersion(version) }
        guard let kind = Kind(rawValue: UInt8(truncatingIfNeeded: word >> 16)) else {
            throw .unknownType(UInt8(truncatingIfNeeded: word >> 16))
        }
        let flags = Flags(rawValue: UInt16(truncatingIfNeeded: word))
        guard flags.rawValue & ~Flags.known.rawValue == 0 else { throw .unknownFlags(flags.rawValue) }
        self.kind = kind
        self.flags = flags
        streamID = StreamID(UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 4, as: UInt32.self)))
        length = UInt32(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    }

    /// Encodes the header into the 12 bytes at `destination`.
    package func write(to destination: UnsafeMutableRawPointer) {
        let word = UInt32(FrameHeader.version) << 24 | UInt32(kind.rawValue) << 16 | UInt32(flags.rawValue)
        destination.storeBytes(of: word.bigEndian, as: UInt32.self)
        destination.storeBytes(of: streamID.rawValue.bigEndian, toByteOffset: 4, as: UInt32.self)
        destination.storeBytes(of: length.bigEndian, toByteOffset: 8, as: UInt32.self)
    }
}

/// A header that is not yamux version 0. The session that carries it cannot go on: frame boundaries are lost.
package enum FrameError: Error, Equatable, Sendable, CustomStringConvertible {
    case truncated
    case unknownVersion(UInt8)
    case unknownType(UInt8)
    case unknownFlags(UInt16)

    package var description: String {
        switch self {
        case .truncated: "frame header shorter than 12 bytes"
        case .unknownVersion(let version): "unknown frame version \(version)"
        case .unknownType(let type): "unknown frame type \(type)"
        case .unknownFlags(let flags): "unknown frame flags \(flags)"
        }
    }
}

/// Why a session ends (yamux go-away codes).
package enum GoAwayCode: UInt32, Sendable, CaseIterable {
    case normal = 0
    case protocolError = 1
    case internalError = 2
}

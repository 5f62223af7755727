import Testing

@testable import Wire

@Suite("Frame headers")
struct FrameHeaderTests {
    private static let anyFlags = (UInt16(0)...15).map(FrameHeader.Flags.init(rawValue:))
    private static let edges: [UInt32] = [0, 1, 2, 0xff, 0x0102_0304, 0x7fff_ffff, 0x8000_0000, .max]

    /// Laid out by hand from yamux's specification: version, type, flags, stream ID, length, all big-endian.
    private static let vectors: [(FrameHeader, [UInt8])] = [
        (
            FrameHeader(.windowUpdate, flags: .syn, streamID: StreamID(1), length: 0),
            [0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]
        ),
        (
            FrameHeader(.windowUpdate, flags: .ack, streamID: StreamID(1), length: 0),
            [0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0]
        ),
        (FrameHeader(.data, streamID: StreamID(1), length: 256 * 1024), [0, 0, 0, 0, 0, 0, 0, 1, 0, 4, 0, 0]),
        (
            FrameHeader(.data, flags: [.syn, .fin], streamID: StreamID(258), length: 5),
            [0, 0, 0, 5, 0, 0, 1, 2, 0, 0, 0, 5]
        ),
        (
            FrameHeader(.windowUpdate, streamID: StreamID(0x0102_0304), length: 0x0506_0708),
            [0, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]
        ),
        (
            FrameHeader(.windowUpdate, flags: .fin, streamID: StreamID(2), length: 0),
            [0, 1, 0, 4, 0, 0, 0, 2, 0, 0, 0, 0]
        ),
        (
            FrameHeader(.windowUpdate, flags: .rst, streamID: StreamID(2), length: 0),
            [0, 1, 0, 8, 0, 0, 0, 2, 0, 0, 0, 0]
        ),
        (
            FrameHeader(.ping, flags: .syn, streamID: .session, length: 0xdead_beef),
            [0, 2, 0, 1, 0, 0, 0, 0, 0xde, 0xad, 0xbe, 0xef]
        ),
        (FrameHeader(.ping, flags: .ack, streamID: .session, length: 7), [0, 2, 0, 2, 0, 0, 0, 0, 0, 0, 0, 7]),
        (FrameHeader(.goAway, streamID: .session, length: 0), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        (FrameHeader(.goAway, streamID: .session, length: 1), [0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
    ]

    @Test("a header is laid out byte for byte as yamux says")
    func layout() throws {
        for (header, bytes) in Self.vectors {
            #expect(encoded(header) == bytes)
            #expect(try decoded(bytes) == header)
        }
    }

    @Test("every type with every set of flags comes back as it was sent", arguments: FrameHeader.Kind.allCases)
    func roundTrip(kind: FrameHeader.Kind) throws {
        for flags in Self.anyFlags {
            for id in Self.edges {
                for length in Self.edges {
                    let header = FrameHeader(kind, flags: flags, streamID: StreamID(id), length: length)
                    #expect(try decoded(encoded(header)) == header)
                }
            }
        }
    }

    @Test("a version other than 0 is refused", arguments: UInt8(1)...255)
    func version(_ version: UInt8) {
        #expect(throws: FrameError.unknownVersion(version)) { try decoded([version, 0, 0, 0] + zeros(8)) }
    }

    @Test("a type above 3 is refused", arguments: UInt8(4)...255)
    func type(_ type: UInt8) {
        #expect(throws: FrameError.unknownType(type)) { try decoded([0, type, 0, 0] + zeros(8)) }
    }

    @Test("a flag that yamux does not define is refused", arguments: 4..<16)
    func flag(bit: Int) {
        let flags = UInt16(1) << UInt16(bit)
        let bytes = [0, 0, UInt8(flags >> 8), UInt8(flags & 0xff)] + zeros(8)
        #expect(throws: FrameError.unknownFlags(flags)) { try decoded(bytes) }
        // A known flag beside it does not make it known.
        #expect(throws: FrameError.unknownFlags(flags | 1)) { try decoded([0, 0, bytes[2], bytes[3] | 1] + zeros(8)) }
    }

    @Test("fewer than 12 bytes are no header", arguments: 0..<12)
    func short(count: Int) {
        #expect(throws: FrameError.truncated) { try decoded(zeros(count)) }
    }

    @Test("bytes behind the header are left alone")
    func trailing() throws {
        let bytes: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff]
        #expect(try decoded(bytes) == FrameHeader(.data, streamID: StreamID(1), length: 2))
    }

    @Test("a header may stand at any offset in a buffer", arguments: 0..<8)
    func unaligned(offset: Int) throws {
        let header = FrameHeader(.data, flags: .fin, streamID: StreamID(0x0a0b_0c0d), length: 0x0102_0304)
        var bytes = [UInt8](repeating: 0xee, count: offset + 12 + 1)
        bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress! + offset) }
        #expect(bytes[..<offset].allSatisfy { $0 == 0xee })
        #expect(bytes.last == 0xee)
        let read = try bytes.withUnsafeBytes { try FrameHeader(UnsafeRawBufferPointer(rebasing: $0[offset...])) }
        #expect(read == header)
    }

    @Test("only data frames have a payload")
    func payload() {
        for kind in FrameHeader.Kind.allCases {
            let header = FrameHeader(kind, streamID: StreamID(1), length: .max)
            #expect(header.payloadLength == (kind == .data ? 4_294_967_295 : 0))
        }
    }

    @Test("odd stream IDs are the dialer's")
    func parity() {
        #expect(StreamID(1).isOpenedByDialer)
        #expect(!StreamID(2).isOpenedByDialer)
        #expect(StreamID(.max).isOpenedByDialer)
        #expect(StreamID(1) < StreamID(2))
    }

    @Test("go-away codes are yamux's")
    func goAwayCodes() {
        #expect(GoAwayCode.allCases.map(\.rawValue) == [0, 1, 2])
        #expect(GoAwayCode.normal.rawValue == 0)
        #expect(GoAwayCode.protocolError.rawValue == 1)
    }

    private func zeros(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }

    private func decoded(_ bytes: [UInt8]) throws -> FrameHeader {
        try bytes.withUnsafeBytes { try FrameHeader($0) }
    }

    private func encoded(_ header: FrameHeader) -> [UInt8] {
        var bytes = zeros(FrameHeader.size)
        bytes.withUnsafeMutableBytes { header.write(to: $0.baseAddress!) }
        return bytes
    }
}

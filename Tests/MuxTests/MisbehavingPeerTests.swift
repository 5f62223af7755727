import Testing
import Wire

@testable import Mux

@Suite("A peer that sends anything")
struct MisbehavingPeerTests {
    @Test("every header is acted on or ends the session, and every byte of payload is accounted for")
    func anything() {
        let seed: UInt64 = 0xad17
        var peer = MisbehavingPeer(seed: seed)
        var sessions = 1
        var actions = 0
        for round in 0..<200_000 {
            let header = peer.nextHeader()
            do {
                let action = try peer.session.receive(header)
                actions += 1
                #expect(action.payloadBytes == header.payloadLength, "seed \(seed), round \(round): \(header)")
            } catch {
                peer.beginAnew()
                sessions += 1
            }
            peer.ownerActs()
            let session = peer.session
            #expect(session.streamCount <= MisbehavingPeer.limits.streams, "seed \(seed), round \(round)")
            let unaccepted = session.streams.values.count { $0.acknowledgement == .owed }
            #expect(session.unaccepted == unaccepted, "seed \(seed), round \(round)")
            #expect(unaccepted <= MisbehavingPeer.limits.unacceptedStreams, "seed \(seed), round \(round)")
            #expect((0...MisbehavingPeer.limits.growthBudget).contains(session.grown), "seed \(seed), round \(round)")
        }
        // Both kinds of outcome were reached, over and over.
        #expect(sessions > 1_000)
        #expect(actions > 100_000)
    }

    @Test("any 12 bytes are a header or an error")
    func anyBytes() {
        var random = SplitMix64(seed: 7)
        var headers = 0
        for _ in 0..<50_000 {
            var bytes = (0..<FrameHeader.size).map { _ in UInt8.random(in: 0...255, using: &random) }
            // Most random bytes fail at the first; let some get further.
            for (index, mask) in [UInt8(0), 3, 0, 15].enumerated() where !random.oneIn(4) { bytes[index] &= mask }
            guard let header = try? bytes.withUnsafeBytes({ try FrameHeader($0) }) else { continue }
            headers += 1
            var again = [UInt8](repeating: 0xff, count: FrameHeader.size)
            again.withUnsafeMutableBytes { if let base = $0.baseAddress { header.write(to: base) } }
            #expect(again == bytes)
        }
        #expect(headers > 10_000)
    }
}

/// Sends what could be meant, with edges, and now and then nonsense, to a session whose owner does as it likes.
private struct MisbehavingPeer {
    static let limits = Limits(streams: 12, unacceptedStreams: 4, growthBudget: 1 << 20, largestWindow: 1 << 20)
    private static let flags: [FrameHeader.Flags] = [
        [], [], [], [], [], .syn, .syn, .syn, .ack, .fin, .rst, [.syn, .fin], [.syn, .rst], [.ack, .fin], [.fin, .rst],
    ]

    private(set) var random: SplitMix64
    var session = Session(role: .acceptor, limits: limits)
    /// The lowest ID that the peer may open.
    private var nextID: UInt32 = 1

    init(seed: UInt64) {
        random = SplitMix64(seed: seed)
    }

    mutating func beginAnew() {
        let isAcceptor = random.oneIn(2)
        session = Session(role: isAcceptor ? .acceptor : .dialer, limits: Self.limits)
        nextID = isAcceptor ? 1 : 2
    }

    mutating func nextHeader() -> FrameHeader {
        if random.oneIn(100) { return nonsense() }
        if random.oneIn(20) {
            let value = length()
            return FrameHeader(.ping, flags: random.oneIn(2) ? .syn : .ack, streamID: .session, length: value)
        }
        let kind: FrameHeader.Kind = random.oneIn(2) ? .data : .windowUpdate
        let flags = nextID <= 2 ? .syn : Self.flags.randomElement(using: &random) ?? []
        var id = UInt32.random(in: 1...max(1, nextID - 1), using: &random)
        let back = UInt32.random(in: 1...10, using: &random) * 2
        if back < nextID, !random.oneIn(10) { id = nextID - back }
        if flags.contains(.syn) {
            id = nextID
            nextID += random.oneIn(10) ? 4 : 2
        }
        let mayOverflow = kind == .data || random.oneIn(20)
        let length = mayOverflow ? length() : UInt32.random(in: 0...100_000, using: &random)
        return FrameHeader(kind, flags: flags, streamID: StreamID(id), length: length)
    }

    private mutating func nonsense() -> FrameHeader {
        FrameHeader(
            FrameHeader.Kind.allCases.randomElement(using: &random) ?? .data,
            flags: FrameHeader.Flags(rawValue: UInt16.random(in: 0...15, using: &random)),
            streamID: StreamID(random.oneIn(2) ? 0 : UInt32.random(in: 0 ... .max, using: &random)), length: length())
    }

    private mutating func length() -> UInt32 {
        switch Int.random(in: 0...7, using: &random) {
        case 0: 0
        case 1: 262_144
        case 2: .max
        case 3: UInt32.random(in: 0 ... .max, using: &random)
        default: UInt32.random(in: 0...50_000, using: &random)
        }
    }

    mutating func ownerActs() {
        let id = StreamID(UInt32.random(in: 0...nextID, using: &random))
        switch Int.random(in: 0...11, using: &random) {
        case 0: _ = try? session.open()
        case 1, 2: _ = session.accept(id)
        case 3: _ = session.send(id, count: Int.random(in: -1...300_000, using: &random))
        case 4: _ = session.finish(id)
        case 5: _ = session.reset(id)
        case 6, 7: consume(id)
        case 8: _ = session.grant(id, count: Int.random(in: 0...1000, using: &random))
        case 9 where random.oneIn(500): _ = session.goAway(.normal)
        default: break
        }
    }

    /// What there is to consume is taken from the window: the owner's books are not what is tried here.
    private mutating func consume(_ id: StreamID) {
        guard let window = session.streams[id]?.receiveWindow else { return }
        let unread = window.size - window.remaining - window.owed
        if unread > 0 { _ = session.consumed(id, count: unread, now: 0) }
    }
}

extension ReceiveAction {
    fileprivate var payloadBytes: Int {
        switch self {
        case .stream(let event): event.payload
        case .discard(let payload), .reset(_, _, _, let payload): payload
        case .none, .send, .pong, .goAway: 0
        }
    }
}

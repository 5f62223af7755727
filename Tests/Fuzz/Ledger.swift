import Wire

@testable import Mux
@testable import Transport

/// What the two peers of a relay say and hear, written down by somebody who shares nothing with the code that is tried:
/// a fault of `Session` must not hide itself by being in the honest peer too.
///
/// - Nobody hears more than the credit that he gave.
/// - What one end of a tunnel hears is what the other said, and in the end all of it.
/// - What a sender may send is what the receiver allows: between the two, the relay neither adds nor loses credit.
/// - While a peer does not read, the relay gives nobody credit towards it.
final class Ledger {
    private struct Page {
        var said: [UInt8] = []
        var heard: [UInt8] = []
        /// Credit given, and what a stream has to begin with.
        var allowed = Protocol.initialWindow
        /// The other end of the tunnel.
        var partner: StreamID?
        /// Of what was heard, how much was held against what the partner said.
        var compared = 0
        var remaining = Int.max
    }

    private let ends: [FarEnd]
    private let honestRole: PeerRole
    private var pages: [[StreamID: Page]] = [[:], [:]]
    private var saying = [FrameReader(), FrameReader()]
    private var hearing = [FrameReader(), FrameReader()]
    /// Bytes that are no record of its own have gone to the relay: what was said after them does not arrive.
    private var isTampered = false

    /// `ends` are the honest peer's and the hostile one's.
    init(_ ends: [FarEnd], honestRole: PeerRole) {
        self.ends = ends
        self.honestRole = honestRole
        for (side, end) in ends.enumerated() {
            end.onSaid = { [weak self] in self?.said($0, side) }
            end.onHeard = { [weak self] in self?.heard($0, side) }
            end.onTampering = { [weak self] in self?.isTampered = true }
        }
    }

    private func said(_ plaintext: [UInt8], _ side: Int) {
        // Whoever says what is no frame is not heard any more.
        _ = saying[side].read(plaintext) { header, payload in
            if header.kind == .windowUpdate, payload == nil {
                pages[side][header.streamID, default: Page()].allowed += Int(header.length)
            }
            if let payload { pages[side][header.streamID, default: Page()].said += payload }
        }
    }

    private func heard(_ plaintext: [UInt8], _ side: Int) {
        let areFrames = hearing[side].read(plaintext) { header, payload in
            guard let payload else { return }
            pages[side][header.streamID, default: Page()].heard += payload
            let page = pages[side][header.streamID, default: Page()]
            expect(page.heard.count <= page.allowed, "\(page.heard.count) bytes of \(page.allowed) allowed")
        }
        expect(areFrames, "the relay sent what is no frame")
    }

    func check() {
        for stream in ends[0].mux.streams.values {
            let id = stream.id
            guard let peer = stream.splice?.peer, peer.splice?.peer === stream else { continue }
            if pages[0][id]?.partner == nil {
                pages[0][id, default: Page()].partner = peer.id
                pages[1][peer.id, default: Page()].partner = id
            }
            checkCredit(from: stream, to: peer, receiver: 1)
            checkCredit(from: peer, to: stream, receiver: 0)
            let all = !isTampered && ends.allSatisfy { $0.isWritable && $0.mux.isRunning }
            compare(id, on: 0, isComplete: all)
            compare(peer.id, on: 1, isComplete: all)
        }
    }

    /// What comes in on `source` goes out on `target`, and credit the other way.
    private func checkCredit(from source: MuxStream, to target: MuxStream, receiver: Int) {
        guard let from = source.mux, let to = target.mux, let splice = target.splice,
            let incoming = from.session.streams[source.id], let outgoing = to.session.streams[target.id]
        else { return }
        let underWay = from.current.map { $0.stream === source ? $0.remaining : 0 } ?? 0
        let kept = source.creditBacklog + (to.withheld[target.id] ?? 0) + splice.settlement
        let remaining = incoming.receiveWindow.remaining
        expect(
            remaining + underWay + kept == outgoing.sendCredit + splice.ownCredit,
            "\(remaining) may be sent, \(underWay) are under way, \(kept) are kept, of \(outgoing.sendCredit)")
        expect(remaining <= Protocol.largestWindow, "\(remaining) may be sent at once")
        let side = 1 - receiver
        let before = pages[side][source.id]?.remaining ?? .max
        expect(ends[receiver].isWritable || remaining <= before, "credit towards a peer that does not read")
        pages[side][source.id, default: Page()].remaining = remaining
    }

    private func compare(_ id: StreamID, on side: Int, isComplete: Bool) {
        guard let page = pages[side][id], let other = page.partner.flatMap({ pages[1 - side][$0] }) else { return }
        // The relay makes an offer of a request.
        let isAgents = (honestRole == .agent) == (side == 0)
        let start = isAgents ? messageSize(page.heard) : 0
        let otherStart = isAgents ? messageSize(other.said) : 0
        let heard = page.heard.dropFirst(start)
        let said = other.said.dropFirst(otherStart)
        let new = heard.dropFirst(page.compared)
        expect(new.elementsEqual(said.dropFirst(page.compared).prefix(new.count)), "what is heard was not said")
        expect(!isComplete || heard.count == said.count, "\(heard.count) bytes heard of \(said.count)")
        pages[side][id]?.compared = heard.count
    }

    private func messageSize(_ bytes: [UInt8]) -> Int {
        bytes.count < 2 ? bytes.count : min(bytes.count, 2 + Int(bytes[0]) << 8 + Int(bytes[1]))
    }
}

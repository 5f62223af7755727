import Testing
import Wire

@testable import Mux

/// Two sessions over a network of virtual time: what is sent together arrives together, after a delay that differs from
/// one batch to the next but never lets one overtake another.
private struct Simulation {
    private struct Batch {
        let due: Int
        let frames: [SimulatedFrame]
    }

    /// Microseconds.
    private var now = 0
    private var random: SplitMix64
    private(set) var peers: [SimulatedPeer]
    /// On the way to each peer.
    private var wires: [[Batch]] = [[], []]
    private let delays: ClosedRange<Int>
    private let activeTurns: Int
    private(set) var largestWindow = 0

    init(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        let limits = Limits(
            streams: Int.random(in: 4...40, using: &random), unacceptedStreams: Int.random(in: 1...8, using: &random),
            growthBudget: Int.random(in: 0...8_000_000, using: &random),
            largestWindow: Protocol.initialWindow * Int.random(in: 1...16, using: &random))
        peers = [
            SimulatedPeer(name: "dialer", role: .dialer, limits: limits, seed: random.next()),
            SimulatedPeer(name: "acceptor", role: .acceptor, limits: limits, seed: random.next()),
        ]
        let shortest = Int.random(in: 0...50_000, using: &random)
        delays = shortest...(shortest + Int.random(in: 0...20_000, using: &random))
        activeTurns = Int.random(in: 20...300, using: &random)
        self.random = random
    }

    /// Runs to the end; returns what went wrong.
    mutating func run() -> [String] {
        for turn in 0..<20_000 {
            if turn == activeTurns {
                for side in 0...1 { peers[side].isWindingUp = true }
            }
            now += Int.random(in: 1...10_000, using: &random)
            for side in [0, 1].shuffled(using: &random) {
                deliver(to: side)
                peers[side].act()
                if random.oneIn(2) || peers[side].isWindingUp { flush(from: side) }
            }
            let faults = peers.flatMap(\.faults)
            guard faults.isEmpty else { return faults }
            for peer in peers {
                for stream in peer.session.streams.values {
                    largestWindow = max(largestWindow, stream.receiveWindow.size)
                }
            }
            if turn > activeTurns, peers.allSatisfy(\.isDone), wires.allSatisfy(\.isEmpty) { return compare() }
        }
        return ["no end: \(peers.map { "\($0.name) has \($0.books)" })"]
    }

    private mutating func flush(from side: Int) {
        guard !peers[side].outbox.isEmpty else { return }
        let due = max(now + Int.random(in: delays, using: &random), wires[1 - side].last?.due ?? 0)
        wires[1 - side].append(Batch(due: due, frames: peers[side].outbox))
        peers[side].outbox = []
    }

    private mutating func deliver(to side: Int) {
        let arrived = wires[side].prefix { $0.due <= now }
        wires[side].removeFirst(arrived.count)
        for frame in arrived.lazy.flatMap(\.frames) { peers[side].receive(frame) }
    }

    /// All is quiet: what one side sent is what the other received, and nothing is left of anything.
    private func compare() -> [String] {
        var faults: [String] = []
        for (near, far) in [(peers[0], peers[1]), (peers[1], peers[0])] {
            if near.session.streamCount != 0 || near.session.unaccepted != 0 || near.session.grown != 0 {
                faults.append("\(near.name): something is left of streams that ended")
            }
            for (id, end) in near.ended where !end.wasReset {
                // The far side may have reset it since, when this side's end had not come yet: but it had said all.
                guard let other = far.ended[id], other.book.finishSent else {
                    faults.append("stream \(id) ended at the \(near.name) before the \(far.name) ended it")
                    continue
                }
                if other.book.sent != other.book.plan || other.book.sent != end.book.received {
                    faults.append("stream \(id): \(other.book.plan) bytes meant, \(end.book.received) received")
                }
            }
        }
        return faults
    }
}

@Suite("Two sessions over a virtual network")
struct SimulationTests {
    @Test("bytes come complete and in order, windows hold, credit is conserved, and everything ends")
    func simulation() {
        var orderly = 0
        var abrupt = 0
        var bytes = 0
        var largestWindow = 0
        for seed in UInt64(1)...200 {
            var simulation = Simulation(seed: seed)
            let faults = simulation.run()
            #expect(faults.isEmpty, "seed \(seed)")
            for peer in simulation.peers {
                for end in peer.ended.values {
                    if end.wasReset { abrupt += 1 } else { orderly += 1 }
                    bytes += end.book.received
                }
            }
            largestWindow = max(largestWindow, simulation.largestWindow)
        }
        // The seeds reach what they are there for.
        #expect(orderly > 1000)
        #expect(abrupt > 1000)
        #expect(bytes > 1_000_000_000)
        #expect(largestWindow > Protocol.initialWindow)
    }
}

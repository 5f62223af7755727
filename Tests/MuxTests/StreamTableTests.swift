import Testing
import Wire

@testable import Mux

@Suite struct `a stream table` {
    @Test(arguments: [1, 0x9e37_79b9_7f4a_7c15, StreamTable<Int>().factor])
    func `holds what a dictionary holds, whatever comes and goes`(factor: UInt64) {
        var generator = SplitMix64(seed: 7)
        var table = StreamTable<Int>(factor: factor)
        var dictionary: [StreamID: Int] = [:]
        for step in 0..<20_000 {
            // It fills to some 120 streams, and empties again, in turn.
            let isFilling = step / 1_000 % 2 == 0
            let id = StreamID(UInt32.random(in: 1...(isFilling ? 200 : 400), using: &generator))
            if isFilling || generator.oneIn(3) {
                table[id] = step
                dictionary[id] = step
            } else {
                let removed = table.removeValue(of: id)
                #expect(removed == dictionary.removeValue(forKey: id))
            }
            #expect(table[id] == dictionary[id])
            #expect(table.count == dictionary.count)
            guard step % 100 == 0 else { continue }
            #expect(table.values.sorted() == dictionary.values.sorted())
            for id in 0...401 { #expect(table[StreamID(UInt32(id))] == dictionary[StreamID(UInt32(id))]) }
        }
    }

    @Test func `has at least half of its places free, and gives back those of a crowd that has left`() {
        var table = StreamTable<Int>()
        var most = 0
        for id in 1...10_000 {
            table[StreamID(UInt32(id))] = id
            most = max(most, table.places.count)
            #expect(table.count * 2 <= table.places.count)
        }
        for id in 2...10_000 { table[StreamID(UInt32(id))] = nil }
        #expect(most == 32_768)
        #expect(table[StreamID(1)] == 1)
        #expect(table.places.count == 8)
    }

    @Test func `finds a stream soon among those that a peer has chosen`() {
        // Always by the same step: what a peer who does not know the factor can try.
        for step in [1, 2, 3, 0x100, 0x1_0001, 0x3_1000] {
            var table = StreamTable<Int>()
            let ids = (1...1_000).map { StreamID(UInt32($0 * step)) }
            for id in ids { table[id] = step }
            let farthest = ids.map { id in
                ((table.place(of: id) ?? 0) - table.home(of: id)) & (table.places.count - 1)
            }.max()
            #expect((farthest ?? .max) < 100, "a step of \(step)")
        }
    }
}

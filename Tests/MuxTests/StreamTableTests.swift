import Testing
import Wire

@testable import Mux

@Suite struct `a stream table` {
    private static let secrets: [UInt64] = [0, 0x9e37_79b9_7f4a_7c15, .random(in: .min ... .max)]

    @Test(arguments: secrets)
    func `holds what a dictionary holds, whatever comes and goes`(secret: UInt64) {
        var generator = SplitMix64(seed: 7)
        var table = StreamTable<Int>(secret: secret)
        var dictionary: [StreamID: Int] = [:]
        var sizes: Set<Int> = []
        for step in 0..<20_000 {
            // It fills and empties in turn, with a few that do the other.
            let isFilling = step / 1_000 % 2 == 0
            let id = StreamID(UInt32.random(in: 1...200, using: &generator))
            if isFilling != generator.oneIn(50) {
                table[id] = step
                dictionary[id] = step
            } else {
                let removed = table.removeValue(of: id)
                #expect(removed == dictionary.removeValue(forKey: id))
            }
            #expect(table[id] == dictionary[id])
            #expect(table.count == dictionary.count)
            if sizes.insert(table.places.count).inserted || step % 100 == 0 { compare(table, dictionary) }
        }
        #expect(sizes.contains(512))
        #expect(sizes.contains(32))
    }

    private func compare(_ table: StreamTable<Int>, _ dictionary: [StreamID: Int]) {
        #expect(table.values == dictionary.sorted { $0.key < $1.key }.map(\.value))
        for id in 0...201 { #expect(table[StreamID(UInt32(id))] == dictionary[StreamID(UInt32(id))]) }
    }

    @Test(arguments: secrets)
    func `finds those that are left of a row that goes on at the first place`(secret: UInt64) throws {
        // Six streams have 16 places.
        var table = StreamTable<Int>(secret: secret)
        for id in 1...6 { table[StreamID(UInt32(id))] = id }
        try #require(table.places.count == 16)
        let last = (1...).lazy.map { StreamID(UInt32($0)) }.filter { table.home(of: $0) >= 14 }.prefix(5)
        let first = try #require((1...).lazy.map { StreamID(UInt32($0)) }.first { table.home(of: $0) == 0 })
        let row = Array(last) + [first]
        var generator = SplitMix64(seed: 7)
        for _ in 0..<500 {
            var table = StreamTable<UInt32>(secret: secret)
            for id in row.shuffled(using: &generator) { table[id] = id.rawValue }
            try #require(table.places.count == 16)
            var left = row.shuffled(using: &generator)
            while let id = left.popLast() {
                table[id] = nil
                #expect(table[id] == nil)
                for id in left { #expect(table[id] == id.rawValue) }
            }
        }
    }

    @Test func `is five eighths full at most, and gives back the places of a crowd that has left`() {
        var table = StreamTable<Int>(secret: 1)
        #expect(table.places.isEmpty)
        table[StreamID(1)] = 1
        #expect(table.places.count == 2)
        // Four stay when both of two leave: they may come again and again.
        table[StreamID(2)] = 2
        for id in 1...2 { table[StreamID(UInt32(id))] = nil }
        #expect(table.places.count == 4)
        for id in 1...10_000 {
            table[StreamID(UInt32(id))] = id
            #expect(table.count * 8 <= table.places.count * 5)
        }
        #expect(table.places.count == 16_384)
        for id in 2...10_000 { table[StreamID(UInt32(id))] = nil }
        #expect(table.values == [1])
        #expect(table.places.count == 8)
    }

    /// By the same step: what a peer can try who does not know the secret.
    @Test(arguments: [1, 2, 3, 0x100, 0x1_0001, 0x3_1000])
    func `finds a stream soon among those that a peer has chosen`(step: Int) throws {
        let secret = UInt64.random(in: .min ... .max)
        var table = StreamTable<Int>(secret: secret)
        let ids = (1...1_000).map { StreamID(UInt32($0 * step)) }
        for id in ids { table[id] = step }
        let farthest = try ids.map { id in
            (try #require(table.place(of: id)) - table.home(of: id)) & (table.places.count - 1)
        }.max()
        #expect(farthest ?? .max < 150, "secret \(secret)")
    }
}

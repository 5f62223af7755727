import Testing

@testable import Relay

@Suite struct `memory is given back` {
    @Test(arguments: [
        // Once, when the greater part of a crowd has left, however slowly.
        ([(5000, 5000), (5000, 2501), (2501, 2500), (2500, 2500), (2500, 3), (3, 3)], [2, 4]),
        // For a crowd that came and went between two looks.
        ([(5000, 3)], [0]),
        // Not for a few.
        ([(63, 0), (63, 0)], []),
        // For the rest of a crowd of which the most had left.
        ([(5000, 100), (100, 1)], [0, 1]),
    ])
    func `when a crowd has left`(_ looks: [(peak: Int, now: Int)], _ trims: [Int]) {
        var trim = MemoryTrim()
        let trimmed = looks.indices.filter { trim.hasLeft(peak: looks[$0].peak, now: looks[$0].now) }
        #expect(trimmed == trims)
    }
}

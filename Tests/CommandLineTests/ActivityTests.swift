import Testing

@testable import adit

@Suite struct `a process by what it used` {
    private func look(_ activity: inout Activity, at cpu: Int64, faults: Int64) -> Bool {
        let usage = Activity.Usage(cpu: cpu, faults: faults)
        guard activity.hasMemoryToSpare(at: usage) else { return false }
        activity.gaveBack(at: usage)
        return true
    }

    @Test func `has memory to spare when it has come to rest, and again when it has got some`() {
        var activity = Activity(at: .init(cpu: 20_000_000, faults: 2_000))
        let looks: [(cpu: Int64, faults: Int64, hasMemory: Bool)] = [
            (60_000_000, 2_500, false),  // it works
            (61_000_000, 2_500, true),
            (61_000_000, 2_510, false),  // what looking takes
            (63_000_000, 2_600, true),  // a single request
            (163_000_000, 2_900, false),
            (164_000_000, 2_900, true),
        ]
        for (cpu, faults, hasMemory) in looks {
            let told = look(&activity, at: cpu, faults: faults)
            #expect(told == hasMemory, "\(cpu), \(faults)")
        }
    }

    @Test func `works at the limit`() {
        var activity = Activity(at: .init(cpu: 0, faults: 0))
        let atLimit = look(&activity, at: Activity.rest, faults: 1_000)
        #expect(!atLimit)
        let below = look(&activity, at: Activity.rest * 2 - 1, faults: 1_000)
        #expect(below)
    }

    @Test func `few faults add up, over looks`() {
        var activity = Activity(at: .init(cpu: 0, faults: 0))
        let few = look(&activity, at: 0, faults: Activity.manyFaults - 1)
        #expect(!few)
        let many = look(&activity, at: 0, faults: Activity.manyFaults)
        #expect(many)
    }

    @Test func `does not count what giving back took`() {
        var activity = Activity(at: .init(cpu: 0, faults: 0))
        activity.gaveBack(at: .init(cpu: Activity.rest, faults: 1_000))
        let none = look(&activity, at: Activity.rest, faults: 1_000)
        #expect(!none)
    }
}

import Testing

@testable import adit

@Suite struct `a process by what it used` {
    private func look(_ activity: inout Activity, at cpu: Duration, faults: Int64) -> Bool {
        activity.hasMemoryToSpare(at: .init(cpu: cpu, faults: faults))
    }

    @Test func `has memory to spare when it has come to rest, and again when it has got some`() {
        var activity = Activity(at: .init(cpu: .milliseconds(20), faults: 2_000))
        let looks: [(cpu: Duration, faults: Int64, hasMemory: Bool)] = [
            (.milliseconds(60), 2_500, false),  // it works
            (.milliseconds(61), 2_500, true),
            (.milliseconds(61), 2_510, false),  // a ping
            (.milliseconds(63), 2_600, true),  // a single request
            (.milliseconds(163), 2_900, false),
            (.milliseconds(164), 2_900, true),
        ]
        for (cpu, faults, hasMemory) in looks {
            let told = look(&activity, at: cpu, faults: faults)
            #expect(told == hasMemory, "\(cpu), \(faults)")
        }
    }

    @Test func `works at the limit`() {
        var activity = Activity(at: .init(cpu: .zero, faults: 0))
        let atLimit = look(&activity, at: Activity.rest, faults: 1_000)
        #expect(!atLimit && !activity.isResting)
        let below = look(&activity, at: Activity.rest * 2 - .nanoseconds(1), faults: 1_000)
        #expect(below && activity.isResting)
    }

    @Test func `few faults add up, over looks`() {
        var activity = Activity(at: .init(cpu: .zero, faults: 0))
        let few = look(&activity, at: .zero, faults: Activity.manyFaults - 1)
        #expect(!few)
        let many = look(&activity, at: .zero, faults: Activity.manyFaults)
        #expect(many)
    }
}

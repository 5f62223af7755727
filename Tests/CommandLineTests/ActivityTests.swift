import Testing

@testable import adit

@Suite struct `a process by its CPU time` {
    @Test func `comes to rest once, and again when it has worked in between`() {
        var activity = Activity(at: .seconds(1))
        let looks: [(used: Duration, comesToRest: Bool)] = [
            (.milliseconds(1500), false), (.milliseconds(1505), true), (.milliseconds(1514), false),
            (.milliseconds(1600), false), (.milliseconds(1609), true),
        ]
        for (used, comesToRest) in looks {
            let hasComeToRest = activity.hasComeToRest(at: used)
            #expect(hasComeToRest == comesToRest, "\(used)")
        }
    }

    @Test func `has worked for the time of its start`() {
        var activity = Activity(at: .zero)
        let hasComeToRest = activity.hasComeToRest(at: Activity.rest - .nanoseconds(1))
        #expect(hasComeToRest)
    }

    @Test func `works at the limit`() {
        var activity = Activity(at: .zero)
        let hasComeToRest = activity.hasComeToRest(at: Activity.rest)
        #expect(!hasComeToRest)
    }
}

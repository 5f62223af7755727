/// Has memory given back to the system when a crowd has left.
struct MemoryTrim {
    private static let interval = Duration.seconds(5)
    /// A smaller crowd is not worth the work: each that leaves may leave 28 KiB.
    private static let smallestCrowd = 64

    /// Connections of the crowd at its largest.
    private var crowd = 0

    /// Looks after the memory of a relay with this door until the task is cancelled.
    static func run(at door: Door, giveBack: () -> Void) async {
        var trim = MemoryTrim()
        while (try? await Task.sleep(for: interval)) != nil {
            if trim.hasLeft(peak: door.takePeak(), now: door.connections) { giveBack() }
        }
    }

    /// Whether the greater part of a crowd is gone, `peak` being the most connections since the last call.
    mutating func hasLeft(peak: Int, now: Int) -> Bool {
        crowd = max(crowd, peak)
        guard crowd - now >= MemoryTrim.smallestCrowd, now <= crowd / 2 else { return false }
        crowd = now
        return true
    }
}

import CSandbox
import ServiceLifecycle

/// Gives memory back to the system whenever a role has come to rest: what starting, handshakes and transfers needed.
///
/// Most of what a role has in memory is code that ran once, and what Linux mapped around it.
struct IdleMemory: Service {
    /// Between two looks at what was used: at rest, and until then.
    private static let restingInterval = Duration.seconds(2)
    private static let busyInterval = Duration.milliseconds(500)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var activity = Activity(at: Self.usage())
            while (try? await Task.sleep(for: activity.isResting ? Self.restingInterval : Self.busyInterval)) != nil {
                if activity.hasMemoryToSpare(at: Self.usage()) { Self.giveBack() }
            }
        }
    }

    /// Call it before there is much to give back. Where it cannot be done, less is given back.
    static func prepare() {
        _ = adit_merge_freed_memory()
    }

    /// Gives back what is free now. Where it cannot be given back nothing is lost.
    @Sendable static func giveBack() {
        _ = adit_give_back_memory()
    }

    /// What this process has used; nothing where that cannot be told, and where nothing can be given back either.
    private static func usage() -> Activity.Usage {
        var (cpu, faults): (Int64, Int64) = (0, 0)
        _ = adit_used(&cpu, &faults)
        return Activity.Usage(cpu: .nanoseconds(cpu), faults: faults)
    }
}

/// Tells by what it used whether a process works or rests, and whether it has got memory since it was last told to give
/// some back. One that has just begun works.
struct Activity {
    struct Usage {
        /// CPU time.
        let cpu: Duration
        /// Pages or groups of pages that it touched and had to be given (minor faults).
        let faults: Int64
    }

    /// Less than this between two looks is rest: pings, and a keystroke now and then.
    static let rest = Duration.milliseconds(5)
    /// So many faults make giving back worth it: a request brings about as many, and pings within some ten seconds.
    static let manyFaults: Int64 = 64

    private(set) var isResting = false
    private var lastCPU: Duration
    /// Those it had when it last gave back.
    private var lastFaults: Int64 = 0

    init(at usage: Usage) {
        lastCPU = usage.cpu
    }

    /// Whether it rests now, and has memory to give back.
    mutating func hasMemoryToSpare(at usage: Usage) -> Bool {
        defer { lastCPU = usage.cpu }
        isResting = usage.cpu - lastCPU < Activity.rest
        guard isResting, usage.faults - lastFaults >= Activity.manyFaults else { return false }
        lastFaults = usage.faults
        return true
    }
}

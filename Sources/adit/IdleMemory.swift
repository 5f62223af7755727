import CSandbox
import Dispatch
import Transport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Gives memory back to the system whenever a role has come to rest: what starting, handshakes and transfers needed.
///
/// Most of what a role has in memory is code that ran once, and what Linux mapped around it.
enum IdleMemory {
    /// Between two looks at what was used, in microseconds.
    private static let interval: UInt32 = 1_000_000

    /// Looks from now on until the process ends, where memory can be given back. Call it before there is much.
    ///
    /// A thread that only sleeps and looks needs little code; a task that sleeps would bring back more than a ping does.
    static func watch() {
        _ = adit_keep_little_freed_memory()
        guard let usage = usage() else { return }
        DispatchQueue(label: "adit.idle-memory").async {
            var activity = Activity(at: usage)
            while true {
                usleep(interval)
                // By its time alone, one of a thousand that share a machine would seem to rest in the middle of a transfer.
                guard let usage = Self.usage(), activity.hasMemoryToSpare(at: usage), !anEventLoopIsBusy
                else { continue }
                giveBack()
                Self.usage().map { activity.gaveBack(at: $0) }
            }
        }
    }

    /// Gives back what is free now. Where it cannot be given back nothing is lost.
    @Sendable static func giveBack() {
        _ = adit_give_back_memory()
    }

    /// What this process has used; nil where that cannot be told, and where nothing can be given back either.
    private static func usage() -> Activity.Usage? {
        var (cpu, faults): (Int64, Int64) = (0, 0)
        guard adit_used(&cpu, &faults) == 0 else { return nil }
        return Activity.Usage(cpu: cpu, faults: faults)
    }
}

/// Tells by what it used whether a process works or rests, and whether it has got memory since it was last told to give
/// some back. One that has just begun works.
struct Activity {
    struct Usage {
        /// CPU time, in nanoseconds.
        let cpu: Int64
        /// Pages or groups of pages that it touched and had to be given (minor faults).
        let faults: Int64
    }

    /// Less CPU time than this between two looks is rest, in nanoseconds: pings, and a keystroke now and then.
    static let rest: Int64 = 5_000_000
    /// So many faults make giving back worth it: about half of those that a ping brings, twice those of a look.
    static let manyFaults: Int64 = 16

    private var lastCPU: Int64
    /// Those it had when it last gave back.
    private var lastFaults: Int64 = 0

    init(at usage: Usage) {
        lastCPU = usage.cpu
    }

    /// Whether it rests now, and has memory to give back.
    mutating func hasMemoryToSpare(at usage: Usage) -> Bool {
        defer { lastCPU = usage.cpu }
        return usage.cpu - lastCPU < Activity.rest && usage.faults - lastFaults >= Activity.manyFaults
    }

    /// That brought faults of its own, which do not count.
    mutating func gaveBack(at usage: Usage) {
        (lastCPU, lastFaults) = (usage.cpu, usage.faults)
    }
}

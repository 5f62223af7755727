import CSandbox
import ServiceLifecycle

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
struct IdleMemory: Service {
    /// Between two looks at the CPU time that was used: at rest, and until then.
    private static let restingInterval = Duration.seconds(10)
    private static let busyInterval = Duration.seconds(2)

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var activity = Activity(at: Self.used())
            while (try? await Task.sleep(for: activity.isResting ? Self.restingInterval : Self.busyInterval)) != nil {
                if activity.hasComeToRest(at: Self.used()) { Self.giveBack() }
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

    /// CPU time of this process.
    private static func used() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Duration(secondsComponent: Int64(time.tv_sec), attosecondsComponent: Int64(time.tv_nsec) * 1_000_000_000)
    }
}

/// Tells by its CPU time whether a process works or rests. One that has just begun works.
struct Activity {
    /// Less than this between two looks is rest: pings, and a keystroke now and then.
    static let rest = Duration.milliseconds(10)

    private(set) var isResting = false
    private var last: Duration

    init(at used: Duration) {
        last = used
    }

    /// Whether it rests now and did not when it was last asked.
    mutating func hasComeToRest(at used: Duration) -> Bool {
        defer { last = used }
        let wasResting = isResting
        isResting = used - last < Self.rest
        return isResting && !wasResting
    }
}

package import NIOCore
import NIOPosix

/// Runs `body` with event loops of its own, `count` threads, and ends them afterwards, with all that still lives on them.
package func withEventLoops(
    _ count: Int, _ body: (any EventLoopGroup) async throws -> Void
) async throws {
    let group = MultiThreadedEventLoopGroup(numberOfThreads: count)
    do {
        try await body(group)
    } catch {
        // The reason that counts is the body's.
        try? await group.shutdownGracefully()
        throw error
    }
    try await group.shutdownGracefully()
}

/// Whether an event loop of this process keeps more than a little memory, most often because it has moved much within the last
/// seconds.
package var anEventLoopIsBusy: Bool { LoopContext.anyAwaitsRest }

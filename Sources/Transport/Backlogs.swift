import NIOCore
import Synchronization

/// What waits on all links for peers to read it. When it becomes too much, the link with the most has to go: it is the one
/// whose peer let others send and does not read. Shared by all event loops, and asked only by links that are full.
package final class Backlogs: Sendable {
    private struct Backlog {
        var bytes: Int
        let channel: any Channel
    }

    private struct State {
        var total = 0
        var backlogs: [ObjectIdentifier: Backlog] = [:]
    }

    private let limit: Int
    private let state = Mutex(State())

    /// `limit` is in bytes, of all links together.
    package init(limit: Int) {
        self.limit = limit
    }

    /// This many bytes wait on the channel now.
    func note(_ bytes: Int, on channel: any Channel) {
        let largest: (any Channel)? = state.withLock { state in
            let before = state.backlogs.updateValue(
                Backlog(bytes: bytes, channel: channel), forKey: ObjectIdentifier(channel))
            state.total += bytes - (before?.bytes ?? 0)
            guard state.total > limit, let largest = state.backlogs.max(by: { $0.value.bytes < $1.value.bytes })
            else { return nil }
            state.backlogs[largest.key] = nil
            state.total -= largest.value.bytes
            return largest.value.channel
        }
        largest?.pipeline.fireErrorCaught(BacklogError())
    }

    /// The channel has room again, or is gone.
    func forget(_ channel: any Channel) {
        _ = state.withLock { state in
            let backlog = state.backlogs.removeValue(forKey: ObjectIdentifier(channel))
            state.total -= backlog?.bytes ?? 0
            return backlog
        }
    }
}

/// What the link that has to go is told, and the log.
private struct BacklogError: Error, CustomStringConvertible {
    let description = "it does not take what it let others send, and too much waits on all links"
}

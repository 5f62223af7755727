import Synchronization

/// All links of the relay, so that shutting down reaches them.
final class LinkTable: Sendable {
    private let links = Mutex<[ObjectIdentifier: PeerLink]>([:])

    func insert(_ link: PeerLink) {
        links.withLock { $0[ObjectIdentifier(link)] = link }
    }

    func remove(_ link: PeerLink) {
        links.withLock { links in
            links[ObjectIdentifier(link)] = nil
            links.shrink()
        }
    }

    var all: [PeerLink] {
        links.withLock { Array($0.values) }
    }
}

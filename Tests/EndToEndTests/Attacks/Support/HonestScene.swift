/// A relay that nobody has attacked yet, and a tunnel of somebody who does nothing wrong.
struct HonestScene: Sendable {
    let site: Site
    let relay: Relay
    let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }
}

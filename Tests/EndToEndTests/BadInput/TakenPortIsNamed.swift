import TestSupport
import Testing

@Suite(.serialized) struct `a local port that is taken` {
    private let site: Site

    init() throws {
        site = try Site()
    }

    @Test func `is named with the reason`() throws {
        let relay = try site.relay()
        defer { withExtendedLifetime(relay) {} }
        let taken = try CountedEcho()
        let connect = try site.connect(at: relay.address, local: taken.address)
        #expect(try connect.wait() == .exited(69))
        let line = try #require(connect.errors.lines.first { $0.hasPrefix("adit: ") })
        #expect(line == "adit: cannot listen on \(taken.address): address already in use")
    }
}

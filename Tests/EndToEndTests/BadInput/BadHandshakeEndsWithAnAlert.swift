import TestSupport
import Testing

/// A TLS handshake that the relay must break off, and with which alert (RFC 8446 §6).
enum BadHandshake: CaseIterable, Sendable {
    case wrongALPN, noALPN, noCertificate, oldTLS

    func options(in site: Site) throws -> [String] {
        switch self {
        case .wrongALPN: try ["-alpn", "h2"] + HostileClient.certificate(in: site)
        case .noALPN: try HostileClient.certificate(in: site)
        case .noCertificate: ["-alpn", "adit/1"]
        case .oldTLS: try ["-tls1_2", "-alpn", "adit/1"] + HostileClient.certificate(in: site)
        }
    }

    var alert: Int {
        switch self {
        case .wrongALPN, .noALPN: 120  // no_application_protocol
        case .noCertificate: 116  // certificate_required
        case .oldTLS: 70  // protocol_version
        }
    }
}

@Suite(.serialized) struct `a bad handshake` {
    private static let limit = Duration.seconds(10)

    private let site: Site
    private let relay: Relay
    private let honest: HonestTunnel

    init() throws {
        site = try Site()
        relay = try site.relay()
        honest = try HonestTunnel(in: site, at: relay)
    }

    @Test(arguments: BadHandshake.allCases)
    func `ends with an alert, and nobody else notices`(_ handshake: BadHandshake) throws {
        let client = try HostileClient(to: relay, in: site, options: handshake.options(in: site))
        let time = try elapsed { try client.process.wait() }
        #expect(time < Self.limit)
        #expect(client.process.errors.text.contains("SSL alert number \(handshake.alert)\n"))
        #expect(client.received.isEmpty)
        try relay.process.errors.waitForLine(containing: "Link ended: ip=127.0.0.1, reason=TLS handshake failed: ")
        try honest.check()
    }
}

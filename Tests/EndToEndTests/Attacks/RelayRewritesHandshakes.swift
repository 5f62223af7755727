import TestSupport
import Testing

/// What a relay changes in the hellos of the end-to-end handshake (RFC 8446 §4.1), which it can read.
enum Downgrade: CaseIterable, Sendable {
    case clientVersion, clientSuites, clientProtocol, clientKeyShare, clientRandom
    case serverVersion, serverSuite, serverRandom

    var direction: Direction {
        switch self {
        case .clientVersion, .clientSuites, .clientProtocol, .clientKeyShare, .clientRandom: .toAgent
        case .serverVersion, .serverSuite, .serverRandom: .toClient
        }
    }

    func edit(_ record: [UInt8]) -> [UInt8] {
        let isHello = record[0] == 22 && record[5] == (direction == .toAgent ? 1 : 2)
        guard isHello else { return record }
        switch self {
        // The extension supported_versions: TLS 1.2 in place of 1.3.
        case .clientVersion: return record.replacing([0, 43, 0, 3, 2, 3, 4], with: [0, 43, 0, 3, 2, 3, 3])
        case .serverVersion: return record.replacing([0, 43, 0, 2, 3, 4], with: [0, 43, 0, 2, 3, 3])
        // Session ID of 32 bytes behind version and random; then the list of suites: the first becomes the last of all.
        case .clientSuites: return record.replacing(at: 5 + 4 + 2 + 32 + 33 + 2, with: [0x13, 0x05])
        case .serverSuite: return record.replacing(at: 5 + 4 + 2 + 32 + 33, with: [0x13, 0x02])
        case .clientProtocol: return record.replacing(Array("adit-e2e/1".utf8), with: Array("adit-e2e/0".utf8))
        // The extension key_share, of one share of X25519.
        case .clientKeyShare: return record.flipping(behind: [0, 29, 0, 32])
        case .clientRandom, .serverRandom: return record.flipping(behind: Array(record[..<11]))
        }
    }
}

extension [UInt8] {
    fileprivate func replacing(_ old: [UInt8], with new: [UInt8]) -> [UInt8] {
        guard let start = firstIndex(of: old) else { return self }
        return replacing(at: start, with: new)
    }

    fileprivate func replacing(at start: Int, with new: [UInt8]) -> [UInt8] {
        self[..<start] + new + self[(start + new.count)...]
    }

    fileprivate func flipping(behind mark: [UInt8]) -> [UInt8] {
        guard let start = firstIndex(of: mark) else { return self }
        return replacing(at: start + mark.count, with: [self[start + mark.count] ^ 1])
    }

    private func firstIndex(of part: [UInt8]) -> Int? {
        (0...Swift.max(0, count - part.count)).first { self[$0...].starts(with: part) }
    }
}

@Suite(.serialized) struct `a malicious relay that rewrites the end-to-end handshake` {
    @Test(arguments: Downgrade.allCases)
    func `ends it, and both ends say so`(downgrade: Downgrade) throws {
        var behaviour = MaliciousRelay.Behaviour()
        behaviour.edit[downgrade.direction] = { record in
            let edited = downgrade.edit(record)
            return edited
        }
        let (site, relay, echo) = (try Site(), try MaliciousRelay(behaviour), try RecordingEcho())
        let agent = try site.registeredAgent(at: relay.address, target: echo.address)
        let connect = try site.connect(at: relay.address)
        try agent.errors.waitForLine(containing: "Session ended: client-id=laptop, reason=")
        try connect.errors.waitForLine(containing: "Disconnected: ")
        for line in agent.errors.lines + connect.errors.lines where line.contains("reason=") {
            #expect(line.contains("TLS handshake failed: ") || line.contains("tls record failed: "))
        }
        #expect(!connect.output.text.contains("Tunnel ready"))
        #expect(echo.visits.isEmpty)
    }
}

import EndToEnd
import Testing

@testable import TLSEngine

/// Whether a key is believed when the certificate authorities have not been asked, say yes and say no.
@Suite struct KeyTrustTests {
    private let directory: Directory
    private let keys: KnownKeys
    private let key = Fingerprint("SHA256:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!
    private let other = Fingerprint("SHA256:AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")!

    init() throws {
        directory = try Directory()
        keys = KnownKeys(path: directory.path + "/known_relays")
    }

    private enum Answer: Equatable { case accepts, rejects, asks }

    private func answers(_ trust: KeyTrust, to key: Fingerprint) -> [Answer] {
        [.notAsked, .genuine, .failure("self-signed certificate")].map { (verdict: AuthorityVerdict) in
            let peer = PeerCertificate(fingerprint: key, authorityVerdict: verdict, rotation: nil)
            return switch trust.check("relay")(peer) {
            case .accept: .accepts
            case .reject: .rejects
            case .askAuthorities: .asks
            }
        }
    }

    @Test(arguments: [KeyTrust.FirstUse.remembered, .refused])
    func `a known key needs no authority`(firstUse: KeyTrust.FirstUse) throws {
        try keys.remember("relay", key)
        let trust = KeyTrust.known(keys, name: "relay", firstUse: firstUse)
        #expect(answers(trust, to: key) == [.accepts, .accepts, .accepts])
    }

    @Test func `an unknown or changed key is believed if the authorities vouch for it`() throws {
        #expect(answers(.known(keys, name: "relay", firstUse: .refused), to: key) == [.asks, .accepts, .rejects])
        #expect(answers(.known(keys, name: "relay", firstUse: .remembered), to: key) == [.asks, .accepts, .accepts])
        try keys.remember("relay", other)
        #expect(answers(.known(keys, name: "relay", firstUse: .remembered), to: key) == [.asks, .accepts, .rejects])
    }

    @Test func `a pin is all that counts, and so is a file of authorities`() {
        #expect(answers(.pinned(key), to: key) == [.accepts, .accepts, .accepts])
        #expect(answers(.pinned(key), to: other) == [.rejects, .rejects, .rejects])
        #expect(answers(.authorities(file: "authorities.pem"), to: key) == [.asks, .accepts, .rejects])
    }
}

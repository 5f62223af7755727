import TestSupport
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Why a token is good no more.
enum TokenEnd: CaseIterable, Sendable {
    case expired, revoked, retired
}

/// PROTOCOL §4.3, as it is on the wire.
@Suite(.serialized) struct `a link whose token ends` {
    private let site: Site
    private let relay: Relay

    init() throws {
        site = try Site()
        try site.directory.write("", to: "revoked")
        relay = try site.relay("--revocations", site.path("revoked"))
    }

    private func client(_ token: SignedToken) throws -> FrameLine {
        let client = try FrameLine.dialed(to: relay)
        try client.sayHello(role: "client", token: token.file)
        return client
    }

    @Test(arguments: TokenEnd.allCases)
    func `is told which of the codes it is, and closed`(end: TokenEnd) throws {
        let token = try site.clientToken(options: end == .expired ? ["--expires-in", "2s"] : [])
        let client = try client(token)
        switch end {
        case .expired: break
        case .revoked: try site.directory.write("\(token.id)\n", to: "revoked")
        case .retired:
            try site.directory.write("kid=new \(randomHex(bytes: 32))\n", to: "secret")
            relay.process.send(SIGHUP)
        }
        let code = end == .expired ? "token_expired" : "token_revoked"
        try client.awaitFrame("its end") { $0.says(#""ending":{"code":"\#(code)""#) }
        try client.awaitEnd()
    }

    @Test func `is told of it a minute before, and not earlier`() throws {
        let client = try client(site.clientToken(options: ["--expires-in", "63s"]))
        var notice: Frame?
        let time = try elapsed { notice = try client.awaitFrame("a notice") { $0.says("token_expires_in") } }
        // The clock counts whole seconds.
        #expect(time > .seconds(1))
        let text = String(decoding: notice?.payload.dropFirst(2) ?? [], as: UTF8.self)
        #expect((1...60).map { #"{"token_expires_in":\#($0)}"# }.contains(text))
    }
}

extension Frame {
    /// Whether a message on the control stream has this in it.
    fileprivate func says(_ text: String) -> Bool {
        isData(on: 1) && String(decoding: payload, as: UTF8.self).contains(text)
    }
}

import Testing

@testable import Tokens

@Suite struct TimeTests {
    @Test func `a token ends with exp`() throws {
        let token = try issue(plainClaims)
        #expect(try verify(token, now: endsAt - 1) == plainClaims)
        #expect(throws: TokenError.expired(secondsAgo: 0)) { try verify(token, now: endsAt) }
        #expect(throws: TokenError.expired(secondsAgo: 102)) { try verify(token, now: endsAt + 102) }
    }

    @Test func `a token begins a minute before iat`() throws {
        let token = try issue(plainClaims)
        #expect(try verify(token, now: madeAt - 60) == plainClaims)
        #expect(throws: TokenError.notYetValid(seconds: 61)) { try verify(token, now: madeAt - 61) }
    }

    @Test func `a token begins a minute before nbf`() throws {
        var claims = plainClaims
        claims.notBefore = madeAt + 600
        let token = try issue(claims)
        #expect(try verify(token, now: madeAt + 540) == claims)
        #expect(throws: TokenError.notYetValid(seconds: 61)) { try verify(token, now: madeAt + 539) }
    }

    @Test func `nbf does not let a token begin before iat`() throws {
        var claims = plainClaims
        claims.notBefore = 0
        let token = try issue(claims)
        #expect(throws: TokenError.notYetValid(seconds: 100)) { try verify(token, now: madeAt - 100) }
    }

    @Test(arguments: [
        #"{"sub":"a","iat":1700000000,"exp":1700000000}"#, #"{"sub":"a","iat":1700000000,"exp":1699999999}"#,
    ])
    func `a token that ends before it begins is refused`(payload: String) throws {
        try expectRefusal(ofPayload: payload, as: .neverValid)
    }

    @Test func `no clock makes the verifier trap`() throws {
        let longest = try issue(Claims(subject: "a", issuedAt: 0, expiresAt: Claims.latestTime))
        let latest = try issue(Claims(subject: "a", issuedAt: Claims.latestTime - 1, expiresAt: Claims.latestTime))
        #expect(throws: TokenError.expired(secondsAgo: .max - Claims.latestTime)) { try verify(longest, now: .max) }
        #expect(throws: TokenError.notYetValid(seconds: .max)) { try verify(longest, now: .min) }
        #expect(throws: TokenError.notYetValid(seconds: .max)) { try verify(latest, now: .min) }
    }
}

/// Why a secret or a token was refused. No case carries a secret, a token or unchecked text of one, so every `reason` may be logged.
package enum TokenError: Error, Equatable, Sendable {
    // The operator's secret.

    /// libjwt takes an empty key to mean that nothing is to be verified.
    case secretEmpty
    /// Shorter than `TokenSecret.minimumBytes`.
    case secretTooShort(bytes: Int)
    /// Longer than `TokenSecret.maximumBytes`.
    case secretTooLong(bytes: Int)
    /// A file of secrets holds comments alone.
    case keyringEmpty
    /// Neither `kid=ID SECRET` nor `SECRET`.
    case keyMalformed
    /// A `kid`, or a secret without one, for the second time: which of the two verifies would be left to chance.
    case keyTwice
    /// A file is not UTF-8 text.
    case notText
    /// Not one token ID and perhaps a comment.
    case revocationMalformed
    /// What is wrong with a line of a file, counted from 1.
    indirect case line(Int, TokenError)

    // A token that is no HS256 token.

    /// Longer than `TokenVerifier.maximumTokenBytes`.
    case tokenTooLong(bytes: Int)
    /// Not three base64url parts of which the first two are JSON objects.
    case malformed
    /// A header parameter or a claim occurs twice: parsers differ in which of the two they believe.
    case duplicateName
    /// The header names no algorithm.
    case algorithmMissing
    /// The header names an algorithm other than HS256.
    case algorithmRefused(AlgorithmName)
    /// `typ` is there and is not `JWT`.
    case typeRefused
    /// `crit` asks for extensions, of which adit has none (RFC 7515 §4.1.11).
    case criticalExtension
    /// `kid` names no secret of the ring; nil where it is not even a name.
    case keyUnknown(KeyID?)

    // A token that nobody with the secret has signed.

    /// The signature is not the one that the secret gives for this header and these claims. Also a value, in a claim that adit does not read,
    /// that libjwt cannot parse: it does not tell the two apart.
    case badSignature

    // Claims that were signed and are refused all the same.

    /// A required claim is not there.
    case claimMissing(Claims.Name)
    /// A claim has the wrong type, a value out of range or characters that do not belong in it.
    case claimInvalid(Claims.Name)
    /// `exp` is not later than `iat`.
    case neverValid
    /// `cnf` does not name a key, or not only, by the digest that adit knows.
    case unsupportedConfirmation
    /// `iss` is not the issuer whose tokens are taken.
    case issuerRefused
    /// `aud` does not name this relay; or it names relays, and this one has no name.
    case audienceRefused
    /// `exp` has passed.
    case expired(secondsAgo: Int64)
    /// `nbf` or `iat` is to come, by more than the leeway.
    case notYetValid(seconds: Int64)

    /// libjwt could not sign claims that were checked before: it ran out of memory.
    case cannotSign

    /// One stable, short, lower-case line, fit for a log and for the peer.
    package var reason: String {
        switch self {
        case .secretEmpty: "the secret is empty"
        case .secretTooShort(let bytes):
            "the secret has \(bytes) bytes, at least \(TokenSecret.minimumBytes) are needed"
        case .secretTooLong(let bytes):
            "the secret has \(bytes) bytes, at most \(TokenSecret.maximumBytes) are accepted"
        case .keyringEmpty: "there is no secret in it, only comments"
        case .keyMalformed: "expected kid=ID SECRET, the ID being 1 to 64 of A-Z a-z 0-9 . _ -"
        case .keyTwice: "a second secret with the same kid, or a second one without"
        case .notText: "it is not UTF-8 text"
        case .revocationMalformed: "expected one token ID (jti), and a comment behind a # at most"
        case .line(let number, let error): "line \(number): \(error.reason)"
        case .tokenTooLong(let bytes):
            "the token has \(bytes) bytes, at most \(TokenVerifier.maximumTokenBytes) are accepted"
        case .malformed: "malformed token"
        case .duplicateName: "malformed token: a name occurs twice"
        case .algorithmMissing: "the token names no algorithm"
        case .algorithmRefused(let name): "algorithm \(name) is not accepted"
        case .typeRefused: "the token's type is not jwt"
        case .criticalExtension: "critical extensions are not accepted"
        case .keyUnknown(let id): "no secret has the token's key ID" + (id.map { " \($0)" } ?? "")
        case .badSignature: "bad signature"
        case .claimMissing(let name): "claim \(name.rawValue) is missing"
        case .claimInvalid(let name): "claim \(name.rawValue) is not valid"
        case .neverValid: "claim exp is not later than iat"
        case .unsupportedConfirmation: "claim cnf binds the token by something other than x5t#S256"
        case .issuerRefused: "the token is of another issuer"
        case .audienceRefused: "the token is for another audience"
        case .expired(let seconds): "expired \(seconds) s ago"
        case .notYetValid(let seconds): "not valid for another \(seconds) s"
        case .cannotSign: "the token could not be signed"
        }
    }
}

/// An algorithm's name as a token states it. Whoever sends a token chooses it freely, so anything but a short word is kept as `unknown`:
/// a name must not be able to forge a line in the log.
package struct AlgorithmName: Equatable, Sendable, CustomStringConvertible {
    /// One to sixteen ASCII letters and digits.
    package let description: String

    /// Keeps `name` if it is one to sixteen ASCII letters and digits, else `unknown`.
    package init(_ name: String) {
        let isWord =
            (1...16).contains(name.utf8.count)
            && name.unicodeScalars.allSatisfy { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)) }
        description = isWord ? name : "unknown"
    }
}

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Claims {
    /// Reads the claims of a token whose signature holds. A claim with the value `null` is there, and is not valid.
    init(_ members: JSONMembers) throws(TokenError) {
        self.init(
            subject: try members.required(.subject, JSONText.string),
            issuedAt: try members.required(.issuedAt, JSONText.integer),
            expiresAt: try members.required(.expiresAt, JSONText.integer),
            notBefore: try members.optional(.notBefore, JSONText.integer),
            issuer: try members.optional(.issuer, JSONText.string),
            audience: try members.optional(.audience) { JSONText.string($0).map { [$0] } ?? JSONText.strings($0) },
            role: try members.optional(.role) { JSONText.string($0).flatMap(Role.init(rawValue:)) },
            allowedAgents: try members.optional(.allowedAgents, JSONText.strings),
            allowedAddresses: try members.optional(.allowedAddresses, JSONText.strings),
            tokenID: try members.optional(.tokenID, JSONText.string),
            boundKey: try members[Name.confirmation.rawValue].map(Self.boundKey))
        try check()
    }

    /// The one way of RFC 7800 to name a key that adit knows (RFC 8705 §3.1); a `cnf` with another one beside it would be checked by half.
    private static func boundKey(_ confirmation: ArraySlice<UInt8>) throws(TokenError) -> [UInt8] {
        guard confirmation.first == UInt8(ascii: "{") else { throw .claimInvalid(.confirmation) }
        let members = try JSONMembers(Array(confirmation))
        guard let text = members[digestName], members.count == 1 else { throw .unsupportedConfirmation }
        guard let digest = JSONText.string(text).flatMap({ Base64URL.decode($0[...].utf8) }) else {
            throw .claimInvalid(.confirmation)
        }
        return digest
    }

    /// RFC 8705 has the digest of the certificate here. Identity certificates are self-signed and may be made anew around the same key, so
    /// adit's tokens hold to the key.
    private static let digestName = "x5t#S256"

    /// The claims as one JSON object, without those that are nil.
    func json() throws(TokenError) -> String {
        let document = Document(
            sub: subject, iat: issuedAt, exp: expiresAt, nbf: notBefore, iss: issuer, aud: audience,
            role: role?.rawValue,
            allowedAgents: allowedAgents, allowedAddresses: allowedAddresses, jti: tokenID,
            cnf: boundKey.map { [Self.digestName: Base64URL.encode($0)] })
        do {
            return String(decoding: try JSONEncoder().encode(document), as: UTF8.self)
        } catch {
            throw .cannotSign
        }
    }

    private struct Document: Encodable {
        var sub: String
        var iat: Int64
        var exp: Int64
        var nbf: Int64?
        var iss: String?
        var aud: [String]?
        var role: String?
        var allowedAgents: [String]?
        var allowedAddresses: [String]?
        var jti: String?
        var cnf: [String: String]?

        enum CodingKeys: String, CodingKey {
            case sub, iat, exp, nbf, iss, aud, role, jti, cnf
            case allowedAgents = "allowed_agents"
            case allowedAddresses = "allowed_addresses"
        }
    }
}

extension JSONMembers {
    fileprivate func optional<Value>(
        _ name: Claims.Name, _ read: (ArraySlice<UInt8>) -> Value?
    ) throws(TokenError) -> Value? {
        guard let text = self[name.rawValue] else { return nil }
        guard let value = read(text) else { throw .claimInvalid(name) }
        return value
    }

    fileprivate func required<Value>(
        _ name: Claims.Name, _ read: (ArraySlice<UInt8>) -> Value?
    ) throws(TokenError) -> Value {
        guard let value = try optional(name, read) else { throw .claimMissing(name) }
        return value
    }
}

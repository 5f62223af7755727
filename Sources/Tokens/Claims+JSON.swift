#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension Claims {
    /// Reads the claims of a token whose signature holds. A claim with the value `null` is there, and is not valid.
    init(_ members: JSONMembers) throws(TokenError) {
        guard members[Name.confirmation.rawValue] == nil else { throw .unsupportedConfirmation }
        self.init(
            subject: try members.required(.subject, JSONText.string),
            issuedAt: try members.required(.issuedAt, JSONText.integer),
            expiresAt: try members.required(.expiresAt, JSONText.integer),
            notBefore: try members.optional(.notBefore, JSONText.integer),
            role: try members.optional(.role) { JSONText.string($0).flatMap(Role.init(rawValue:)) },
            allowedAgents: try members.optional(.allowedAgents, JSONText.strings),
            allowedAddresses: try members.optional(.allowedAddresses, JSONText.strings),
            tokenID: try members.optional(.tokenID, JSONText.string))
        try check()
    }

    /// The claims as one JSON object, without those that are nil.
    func json() throws(TokenError) -> String {
        let document = Document(
            sub: subject, iat: issuedAt, exp: expiresAt, nbf: notBefore, role: role?.rawValue,
            allowedAgents: allowedAgents, allowedAddresses: allowedAddresses, jti: tokenID)
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
        var role: String?
        var allowedAgents: [String]?
        var allowedAddresses: [String]?
        var jti: String?

        enum CodingKeys: String, CodingKey {
            case sub, iat, exp, nbf, role, jti
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

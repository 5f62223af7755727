import CJWT

/// A token object of libjwt. It holds a copy of the key, which it releases with itself.
struct JWTObject: ~Copyable {
    private let pointer: OpaquePointer

    private init(owning pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe jwt_free(pointer)
    }

    /// Verifies the signature of `token`, and that it is HMAC with SHA-256.
    ///
    /// libjwt says no more than that it failed; `CompactToken` has looked at the structure before, so it is the signature.
    static func verify(_ token: CompactToken, with secret: TokenSecret) throws(TokenError) {
        var created: OpaquePointer?
        let code = secret.withKey { key, count in unsafe jwt_decode(&created, token.text, key, count) }
        guard code == 0, let created = unsafe created else { throw .badSignature }
        let object = unsafe JWTObject(owning: created)
        // Without a key libjwt verifies nothing and calls the algorithm "none", whatever the header says.
        guard object.algorithm == JWT_ALG_HS256 else { throw .badSignature }
    }

    /// Signs a JSON object by HMAC with SHA-256, and returns the token in its compact form.
    static func sign(_ json: String, with key: Keyring.Key) throws(TokenError) -> String {
        var created: OpaquePointer?
        guard unsafe jwt_new(&created) == 0, let created = unsafe created else { throw .cannotSign }
        let object = unsafe JWTObject(owning: created)
        return try object.sign(json, with: key)
    }

    private var algorithm: jwt_alg_t { unsafe jwt_get_alg(pointer) }

    private borrowing func sign(_ json: String, with key: Keyring.Key) throws(TokenError) -> String {
        let pointer = unsafe pointer
        let code = key.secret.withKey { key, count in unsafe jwt_set_alg(pointer, JWT_ALG_HS256, key, count) }
        let isNamed = key.id.map { unsafe jwt_add_header(pointer, "kid", $0.description) == 0 } ?? true
        guard code == 0, isNamed, unsafe jwt_add_grants_json(pointer, json) == 0,
            let text = unsafe jwt_encode_str(pointer)
        else {
            throw .cannotSign
        }
        defer { unsafe adit_jwt_free_text(text) }
        return unsafe String(cString: text)
    }
}

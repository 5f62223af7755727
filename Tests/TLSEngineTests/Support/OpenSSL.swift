/// The `openssl` command: the other implementation that this module is held against, and the maker of its certificates.
enum OpenSSL {
    /// Runs `openssl` with `arguments` and returns what it printed; throws that if it failed.
    @discardableResult
    static func run(_ arguments: String..., input: [UInt8] = []) throws -> [UInt8] {
        try run(arguments, input: input)
    }

    @discardableResult
    static func run(_ arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
        let result = try Child.run(["openssl"] + arguments, input: input)
        guard result.code == 0 else {
            throw SystemFailure(message: "openssl \(arguments): \(String(decoding: result.output, as: UTF8.self))")
        }
        return result.output
    }
}

extension OpenSSL {
    /// The fingerprint of the key in a PEM certificate, by openssl alone.
    static func fingerprint(of certificateFile: String) throws -> String {
        let publicKey = try run("x509", "-in", certificateFile, "-noout", "-pubkey")
        let encoded = try run("pkey", "-pubin", "-outform", "der", input: publicKey)
        let digest = try run("dgst", "-sha256", "-binary", input: encoded)
        let text = String(decoding: try run("base64", "-A", input: digest), as: UTF8.self)
        return "SHA256:" + text.prefix { $0 != "=" }
    }
}

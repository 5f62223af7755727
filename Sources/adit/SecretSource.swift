import EndToEnd
import Tokens
import Wire

/// Where a secret comes from: by value, or from a file that is read each time it is needed, so that a renewed token is
/// taken up.
enum SecretSource: Sendable {
    case value(String, origin: String)
    case file(path: String, origin: String)

    /// - Throws: `.usage` if both ways or neither were given.
    init(
        value: (option: OptionName, argument: String?), file: (option: OptionName, argument: String?),
        in settings: Settings
    ) throws(Failure) {
        switch try settings.either(value, file) {
        case (let text?, _): self = .value(text.text, origin: text.origin)
        case (_, let path?): self = .file(path: try ValueFormat.path.value(of: path), origin: path.origin)
        case (nil, nil):
            throw .usage(
                "\(value.option.flag) or \(file.option.flag) is missing",
                hint: "a file keeps the secret out of shell histories; \(file.option.variable) may name it as well")
        }
    }

    /// The secret's bytes; an editor's line break at the end of a file is no part of it.
    ///
    /// - Throws: `.configuration` for a file that is unreadable or empty, `.usage` for an empty value.
    func bytes() throws(Failure) -> [UInt8] {
        switch self {
        case .value(let text, let origin):
            guard !text.isEmpty else { throw .usage("\(origin) is empty") }
            return Array(text.utf8)
        case .file(let path, let origin):
            var bytes = try FileContents.bytes(of: path, what: "file of \(origin),")
            if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
            guard !bytes.isEmpty else { throw .configuration("the file of \(origin), \(path), is empty") }
            return bytes
        }
    }
}

extension SecretSource {
    /// The secrets that sign tokens: one by value, one or several from a file.
    ///
    /// - Throws: As `bytes()`, and `.configuration` for a file that is no ring, or a secret that could be guessed.
    func keyring(allowShort: Bool) throws(Failure) -> Keyring {
        let bytes = try bytes()
        do {
            switch self {
            case .value: return Keyring(try TokenSecret(bytes, allowShort: allowShort))
            case .file: return try Keyring(reading: bytes, allowShort: allowShort)
            }
        } catch {
            throw .configuration("\(place): \(error.reason)", hint: Self.hint(error))
        }
    }

    private static func hint(_ error: TokenError) -> String? {
        switch error {
        case .line(_, let error): hint(error)
        case .secretTooShort:
            "openssl rand -base64 48 > FILE makes a good one; \(OptionName.insecureShortSecret.flag) takes this one"
        default: nil
        }
    }

    /// The token to present, asked for at each dial.
    ///
    /// - Throws: As `bytes()`, and `.configuration` for bytes that no token holds.
    func bearerToken() throws(Failure) -> BearerToken {
        let bytes = try bytes()
        guard bytes.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .configuration(
                "\(place): not a token, it holds spaces, line breaks or other characters that none has")
        }
        return BearerToken(String(decoding: bytes, as: UTF8.self))
    }

    private var place: String {
        switch self {
        case .value(_, let origin): origin
        case .file(let path, _): path
        }
    }
}

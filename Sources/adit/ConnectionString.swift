import TLSEngine
import Wire

/// All that connect needs to find an agent: `adit://relay.example.com:4443/private-db#SHA256:…`, a URI (RFC 3986) of the
/// relay's address, the agent ID and the agent's key. The key may be missing; nothing else may.
struct ConnectionString: Equatable {
    let relay: HostPort
    let agentID: AgentID
    let agentKey: Fingerprint?

    init(relay: HostPort, agentID: AgentID, agentKey: Fingerprint?) {
        self.relay = relay
        self.agentID = agentID
        self.agentKey = agentKey
    }
}

extension ConnectionString: LosslessStringConvertible {
    private static let scheme = "adit://"

    /// Agent IDs and fingerprints hold nothing that a URI has to escape in their places; hosts may.
    var description: String {
        let isLiteral = relay.host.contains(":")
        let host = relay.host.utf8.map { byte in
            Self.isUnreserved(byte) || isLiteral && byte == UInt8(ascii: ":")
                ? String(Unicode.Scalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
        .joined()
        let address = "\(isLiteral ? "[\(host)]" : host):\(relay.port)"
        return "\(Self.scheme)\(address)/\(agentID)\(agentKey.map { "#\($0)" } ?? "")"
    }

    /// Reads what `description` writes, and any other way to escape the same (RFC 3986 §2.4). The scheme may be in capitals.
    init?(_ description: String) {
        guard description.prefix(Self.scheme.count).lowercased() == Self.scheme else { return nil }
        let halves = description.dropFirst(Self.scheme.count).split(
            separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
        let parts = halves[0].split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, !halves[0].contains(where: { "?@".contains($0) }),
            let address = Self.unescaped(parts[0]), let relay = HostPort(address), relay.port != 0,
            let agentID = Self.unescaped(parts[1]).flatMap(AgentID.init)
        else { return nil }
        self.relay = relay
        self.agentID = agentID
        guard halves.count == 2 else {
            agentKey = nil
            return
        }
        guard let key = Self.unescaped(halves[1]).flatMap({ Fingerprint($0) }) else { return nil }
        agentKey = key
    }

    /// RFC 3986 §2.3.
    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            true
        default: false
        }
    }

    /// Nil where a `%` is not followed by two hexadecimal digits, and for what is then not UTF-8.
    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let digits = rest.prefix(2)
            guard digits.count == 2, digits.allSatisfy({ Unicode.Scalar($0).properties.isASCIIHexDigit }),
                let value = UInt8(String(decoding: digits, as: UTF8.self), radix: 16)
            else { return nil }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }
}

extension ValueFormat<ConnectionString> {
    static var connectionString: Self {
        Self(
            expectation: "one: adit://HOST:PORT/AGENT-ID#SHA256:…, as the agent prints it", parse: ConnectionString.init
        )
    }
}

extension Settings {
    /// What a connection string names goes over the environment and the file, as an option would. An option that says
    /// something else is a contradiction.
    ///
    /// - Throws: As `value`, and `.usage` for a contradiction.
    func agreed<Value: Equatable & CustomStringConvertible>(
        _ option: OptionName, _ argument: String?, _ format: ValueFormat<Value>, _ named: Value?
    ) throws(Failure) -> Value? {
        guard let named else { return try value(option, argument, format) }
        if let argument, try value(option, argument, format) != named {
            throw .usage("\(option.flag) \(argument) contradicts the connection string, which names \(named)")
        }
        return named
    }
}

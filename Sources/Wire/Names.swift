/// The name under which an agent registers: 1 to 64 of `A-Z a-z 0-9 . _ -`.
package struct AgentID: Hashable, Sendable, LosslessStringConvertible, Codable {
    package let description: String

    /// Nil for anything but 1 to 64 of the characters above.
    package init?(_ description: String) {
        let utf8 = description.utf8
        guard (1...64).contains(utf8.count), utf8.allSatisfy(AgentID.allows) else { return nil }
        self.description = description
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let id = AgentID(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an agent ID")
        }
        self = id
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    private static func allows(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "-"):
            true
        default: false
        }
    }
}

/// A host name or address, and a port: `db.example:5432`, `127.0.0.1:0`, `[::1]:80`.
package struct HostPort: Hashable, Sendable, LosslessStringConvertible, Codable {
    /// Without brackets.
    package let host: String
    /// 0 to 65535; 0 asks for any free port where one listens.
    package let port: UInt16

    /// `host` is taken as it is.
    package init(host: String, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// Nil unless it is HOST:PORT or [IPv6]:PORT with a port of 0 to 65535 and a host of 1 to 255 printable ASCII bytes.
    package init?(_ description: String) {
        guard let colon = description.lastIndex(of: ":") else { return nil }
        let digits = description[description.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(digits)
        else { return nil }
        var host = description[..<colon]
        if host.hasPrefix("[") {
            guard host.hasSuffix("]"), host.contains(":") else { return nil }
            host = host.dropFirst().dropLast()
        } else if host.contains(":") {
            return nil
        }
        guard !host.contains(where: { "[]".contains($0) }) else { return nil }
        guard (1...255).contains(host.utf8.count), host.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            return nil
        }
        self.init(host: String(host), port: port)
    }

    package var description: String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let address = HostPort(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not HOST:PORT")
        }
        self = address
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A token as its holder presents it. Whoever reads it may use it: it is never logged.
package struct BearerToken: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The token itself.
    package let value: String

    /// A token as it was read.
    package init(_ value: String) {
        self.value = value
    }

    package var description: String { "(token)" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

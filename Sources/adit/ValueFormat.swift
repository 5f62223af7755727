import Logging
import TLSEngine
import Tokens
import Transport
import Wire

/// What an option takes: the text's meaning, and the words that say what was expected.
struct ValueFormat<Value> {
    let expectation: String
    let parse: (String) -> Value?

    /// - Throws: `.usage`, naming the option or variable, the text and what was expected in its stead.
    func value(of given: SettingText) throws(Failure) -> Value {
        guard let value = parse(given.text) else {
            throw .usage("\(given.origin): '\(given.text)' is not \(expectation)")
        }
        return value
    }
}

extension ValueFormat<String> {
    static var text: Self { Self(expectation: "a text of at least one character") { $0.isEmpty ? nil : $0 } }

    static var path: Self { Self(expectation: "a path") { $0.isEmpty ? nil : $0 } }

    /// `sub`, `iss` and `aud`.
    static var name: Self {
        Self(expectation: "a name of 1 to \(Claims.maximumStringBytes) bytes without control characters") { text in
            (1...Claims.maximumStringBytes).contains(text.utf8.count) && text.isPrintable ? text : nil
        }
    }

    /// An agent ID in which `*` stands for any run of characters.
    static var agentPattern: Self {
        Self(expectation: "an agent ID (1 to 64 of A-Z a-z 0-9 . _ -), in which * may stand for anything") { text in
            AgentID(String(text.map { $0 == "*" ? "x" : $0 })) == nil ? nil : text
        }
    }
}

extension ValueFormat<Bool> {
    static var boolean: Self {
        Self(expectation: "true or false") { text in
            switch text.lowercased() {
            case "true", "yes", "1": true
            case "false", "no", "0": false
            default: nil
            }
        }
    }
}

extension ValueFormat<HostPort> {
    /// For listening: a port of 0 asks for a free one.
    static var listeningAddress: Self {
        Self(
            expectation: "HOST:PORT with a port of 0 to 65535, such as 127.0.0.1:4443 or [::1]:4443",
            parse: HostPort.init)
    }

    /// For dialing.
    static var address: Self {
        Self(expectation: "HOST:PORT with a port of 1 to 65535, such as relay.example:4443 or [::1]:4443") { text in
            HostPort(text).flatMap { $0.port == 0 ? nil : $0 }
        }
    }
}

extension ValueFormat<HostPort> {
    /// Written as an address of this machine, by the rule of the agent's dial.
    static var target: Self {
        Self(
            expectation: """
                HOST:PORT on this machine (localhost, 127.0.0.0/8 or [::1], a port of 1 to 65535): an agent forwards \
                to its own machine only
                """
        ) { text in
            address.parse(text).flatMap { $0.loopbackAddresses.isEmpty ? nil : $0 }
        }
    }
}

extension ValueFormat<ClosedRange<UInt16>> {
    static var portRange: Self {
        Self(expectation: "FIRST-LAST with ports of 1 to 65535, such as 10000-10099") { text in
            let ends = text.split(separator: "-", omittingEmptySubsequences: false)
            guard ends.count == 2, let first = Self.port(ends[0]), let last = Self.port(ends[1]), first <= last else {
                return nil
            }
            return first...last
        }
    }

    private static func port(_ digits: Substring) -> UInt16? {
        guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = UInt16(digits), port > 0 else {
            return nil
        }
        return port
    }
}

extension ValueFormat<AgentID> {
    static var agentID: Self {
        Self(expectation: "an agent ID: 1 to 64 of A-Z a-z 0-9 . _ -", parse: AgentID.init)
    }
}

extension ValueFormat<Fingerprint> {
    static var fingerprint: Self {
        Self(expectation: "a key's fingerprint, SHA256: and 43 characters of base64", parse: Fingerprint.init)
    }
}

extension ValueFormat<KeyID> {
    static var keyID: Self { Self(expectation: "a key ID: 1 to 64 of A-Z a-z 0-9 . _ -", parse: KeyID.init) }
}

extension ValueFormat<Claims.Role> {
    static var role: Self { Self(expectation: "agent or client") { Claims.Role(rawValue: $0) } }
}

extension ValueFormat<Logger.Level> {
    static var logLevel: Self {
        let names = Logger.Level.allCases.map(\.rawValue).joined(separator: " ")
        return Self(expectation: "one of \(names)") { Logger.Level(rawValue: $0) }
    }
}

extension ValueFormat<LogFormat> {
    static var logFormat: Self { Self(expectation: "text or json") { LogFormat(rawValue: $0) } }
}

extension ValueFormat<Lifetime> {
    static var lifetime: Self {
        Self(expectation: "a duration of 1s to 3650d, such as 30s, 15m, 1h30m or 7d", parse: Lifetime.init)
    }
}

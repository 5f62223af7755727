/// Who may import whom: the table of Docs/ARCHITECTURE.md, to which these tests hold the sources and Package.swift.
enum House {
    /// The modules of this package that a module may import.
    static let modules: [String: Set<String>] = [
        "adit": [
            "Relay", "Agent", "Connect", "EndToEnd", "Transport", "TLSEngine", "Tokens", "Mux", "Wire", "COpenSSL",
            "CJWT", "CSandbox", "CPoller",
        ],
        "Relay": ["Transport", "Tokens", "Mux", "Wire"],
        "Agent": ["Transport", "EndToEnd", "Mux", "Wire"],
        "Connect": ["Transport", "EndToEnd", "Mux", "Wire"],
        "EndToEnd": ["Transport", "TLSEngine", "Mux", "Wire"],
        "Transport": ["TLSEngine", "CPoller", "Mux", "Wire"],
        "TLSEngine": ["COpenSSL"],
        "Tokens": ["CJWT"],
        "Mux": ["Wire"],
        "Wire": [],
        "COpenSSL": [],
        "CJWT": [],
        "CSandbox": [],
        "CPoller": [],
    ]

    /// The modules of others, and those of ours that may import each.
    static let others: [String: Set<String>] = [
        "Synchronization": withSystem, "Dispatch": withSystem,
        "Glibc": withSystem, "Musl": withSystem, "Darwin": withSystem,
        foundationEssentials: ["Wire", "Tokens"],
        foundation: ["Wire", "Tokens"],
        "NIOCore": ["Transport", "EndToEnd", "Relay", "Agent", "Connect"],
        "NIOPosix": ["Transport", "Relay"],
        "Logging": ["Transport", "EndToEnd", "Relay", "Agent", "Connect", "adit"],
        "DequeModule": ["Transport"],
        "ArgumentParser": ["adit"], "Configuration": ["adit"], "ServiceLifecycle": ["adit"], "UnixSignals": ["adit"],
    ]

    static let foundation = "Foundation"
    static let foundationEssentials = "FoundationEssentials"

    /// `Wire` and `Mux` have no I/O, no clock and no threads.
    private static let withSystem = Set(modules.keys).subtracting(["Wire", "Mux"])

    /// Every module that `module` reaches by way of others, itself not included unless there is a circle.
    static func reach(from module: String, in table: [String: Set<String>]) -> Set<String> {
        var reached: Set<String> = []
        var next = table[module, default: []]
        while !next.isEmpty {
            reached.formUnion(next)
            next = Set(next.flatMap { table[$0, default: []] }).subtracting(reached)
        }
        return reached
    }

    /// What is wrong with the imports of one source file of `module`, one line for each, headed by file and line.
    static func violations(in source: String, file: String, module: String) -> [String] {
        imports(in: source).compactMap { found in
            objection(to: found, in: module).map { "\(file):\(found.line): \($0)" }
        }
    }

    private static func objection(to found: Import, in module: String) -> String? {
        guard let allowed = modules[module] else { return "module \(module) is not in the table" }
        if found.attributes.contains("_exported") {
            return "\(module) may not hand \(found.module) on to those that import it"
        }
        if let importers = others[found.module] {
            guard importers.contains(module) else { return "\(module) may not import \(found.module)" }
            if found.module == foundation && !found.isWithoutEssentials {
                return "Foundation may be imported only where FoundationEssentials cannot be"
            }
            return nil
        }
        return allowed.contains(found.module) ? nil : "\(module) may not import \(found.module)"
    }
}

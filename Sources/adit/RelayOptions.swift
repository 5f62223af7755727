import ArgumentParser
import EndToEnd
import TLSEngine
import Wire

/// How agent and connect reach their relay, and who they say they are.
struct RelayOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The relay's address.", valueName: "host:port"))
    var relay: String?

    @Option(help: ArgumentHelp("The ID under which the agent registers: 1 to 64 of A-Z a-z 0-9 . _ -", valueName: "id"))
    var agentID: String?

    @Option(
        help: ArgumentHelp(
            "The token to show the relay. Wiped from the process list; prefer --token-file.", valueName: "token"))
    var token: String?

    @Option(
        help: ArgumentHelp("Read the token from this file, anew at each dial and before it expires.", valueName: "file")
    )
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "Trust the relay by this key alone, SHA256:… as the relay prints it.", valueName: "fingerprint"))
    var relayKey: String?

    @Option(help: ArgumentHelp("Trust relays that these certificate authorities (PEM) vouch for.", valueName: "file"))
    var relayCa: String?

    @Flag(help: "Refuse keys that are neither pinned, vouched for nor known, instead of remembering them on first use.")
    var strict = false

    @Flag(help: "Remember keys under hashed names, so that the files do not tell whom this machine knows.")
    var hashKnownNames = false

    func relay(_ settings: Settings) throws(Failure) -> HostPort {
        try settings.required(.relay, relay, .address)
    }

    func agentID(_ settings: Settings) throws(Failure) -> AgentID {
        try settings.required(.agentID, agentID, .agentID)
    }

    /// What is read while the role runs.
    func files(_ settings: Settings) -> [String] {
        settings.files((.tokenFile, tokenFile), (.relayCA, relayCa))
    }

    /// The token is read here once, so that a missing file is an error at start and not of the first dial.
    func tokenSource(_ settings: Settings) throws(Failure) -> TokenSource {
        let source = try SecretSource(value: (.token, token), file: (.tokenFile, tokenFile), in: settings)
        _ = try source.bearerToken()
        return { try source.bearerToken() }
    }

    func trust(_ settings: Settings, relay: HostPort, state: StateDirectory) throws(Failure) -> KeyTrust {
        switch try settings.either((.relayKey, relayKey), (.relayCA, relayCa)) {
        case (let key?, _): return .pinned(try ValueFormat.fingerprint.value(of: key))
        case (_, let authorities?):
            let path = try ValueFormat.path.value(of: authorities)
            try FileContents.requireReadable(path, what: "file of \(authorities.origin),")
            return .authorities(file: path)
        case (nil, nil): return try known(settings, file: state.knownRelays, name: relay.description)
        }
    }

    /// Trust in the key that `file` knows under `name`.
    func known(_ settings: Settings, file: String, name: String) throws(Failure) -> KeyTrust {
        let hashes = try settings.flag(.hashKnownNames, hashKnownNames)
        let isStrict = try settings.flag(.strict, strict)
        return .known(
            KnownKeys(path: file, hashesNames: hashes), name: name, firstUse: isStrict ? .refused : .remembered)
    }
}

import TLSEngine

/// Where this machine's identity and the keys that it has come to know are kept.
struct StateDirectory {
    let path: String

    var identityFile: String { "\(path)/identity.pem" }
    var knownAgents: String { "\(path)/known_agents" }
    var knownRelays: String { "\(path)/known_relays" }

    /// `--state-dir`, else the first of `$STATE_DIRECTORY` (set by systemd), else `$XDG_STATE_HOME/adit`, else
    /// `~/.local/state/adit`.
    ///
    /// - Throws: `.configuration` where nothing says whose home this is.
    init(_ argument: String?, settings: Settings, environment: [String: String]) throws(Failure) {
        if let path = try settings.value(.stateDirectory, argument, .path) {
            self.path = path
        } else if let path = environment["STATE_DIRECTORY"]?.split(separator: ":").first {
            self.path = String(path)
        } else if let home = environment["XDG_STATE_HOME"], home.hasPrefix("/") {
            // The XDG base directory specification has relative paths ignored.
            self.path = "\(home)/adit"
        } else if let home = environment["HOME"], !home.isEmpty {
            self.path = "\(home)/.local/state/adit"
        } else {
            throw .configuration("no directory for keys: HOME is not set", hint: "give --state-dir DIRECTORY")
        }
    }

    /// The key of `identity.pem`, made first if there is none.
    func identity() throws(TLSError) -> Identity {
        // Nobody goes by the name in the certificate: a key is known by its fingerprint.
        try Identity.loadOrCreate(path: identityFile, commonName: "adit")
    }

    /// Another key in its place, signed by it.
    func rotateIdentity() throws(TLSError) -> Identity {
        try Identity.rotate(path: identityFile, commonName: "adit")
    }
}

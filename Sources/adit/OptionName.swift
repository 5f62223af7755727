/// The options that may come from the environment and the configuration file as well as from the command line.
enum OptionName: String, CaseIterable {
    case agent
    case agentID = "agent-id"
    case agentKey = "agent-key"
    case allowClient = "allow-client"
    case allowCoreDumps = "allow-core-dumps"
    case allowedAddress = "allowed-address"
    case audience
    case authorizedClients = "authorized-clients"
    case bindKey = "bind-key"
    case config
    case exitOnFailure = "exit-on-failure"
    case expiresIn = "expires-in"
    case handshakeTimeout = "handshake-timeout"
    case hashKnownNames = "hash-known-names"
    case insecureShortSecret = "insecure-short-secret"
    case issuer
    case jwtSecret = "jwt-secret"
    case jwtSecretFile = "jwt-secret-file"
    case keyID = "kid"
    case listen
    case localAddress = "local-address"
    case logFormat = "log-format"
    case logLevel = "log-level"
    case noSandbox = "no-sandbox"
    case maxBuffered = "max-buffered"
    case maxBufferedPerLink = "max-buffered-per-link"
    case maxConnections = "max-connections"
    case maxConnectionsPerAddress = "max-connections-per-address"
    case maxControlFrames = "max-control-frames"
    case maxFailuresPerAddress = "max-failures-per-address"
    case maxForwards = "max-forwards"
    case maxPendingConnections = "max-pending-connections"
    case maxTunnels = "max-tunnels"
    case maxTunnelsPerAgent = "max-tunnels-per-agent"
    case maxTunnelsPerClient = "max-tunnels-per-client"
    case relay
    case relayCA = "relay-ca"
    case relayKey = "relay-key"
    case remoteAddress = "remote-address"
    case requireScope = "require-scope"
    case revocations
    case role
    case secret
    case secretFile = "secret-file"
    case stateDirectory = "state-dir"
    case strict
    case subject = "sub"
    case targetAddress = "target-address"
    case tcpPortRange = "tcp-port-range"
    case tlsCertificate = "tls-cert"
    case tlsKey = "tls-key"
    case token
    case tokenFile = "token-file"
    case tokenOnly = "token-only"

    /// As on the command line: `--agent-id`.
    var flag: String { "--\(rawValue)" }

    /// As in the environment and the file: `ADIT_AGENT_ID`.
    var variable: String { Self.variablePrefix + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined() }

    static let variablePrefix = "ADIT_"

    /// Whether its value must not be shown.
    var isSecret: Bool {
        self == .jwtSecret || self == .secret || self == .token
    }
}

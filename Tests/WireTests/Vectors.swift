/// Every message of Docs/PROTOCOL.md as it stands there, in its order: members sorted, no spaces. A change here is a
/// change of the protocol.
enum Vectors {
    // §4.2
    static let agentHello =
        #"{"agent_id":"db-1","role":"agent","software":"adit/1.0.0","token":"eyJhbGciOiJIUzI1NiJ9.e30.c2ln","version":1}"#
    static let clientHello =
        #"{"role":"client","software":"adit/1.0.0","token":"eyJhbGciOiJIUzI1NiJ9.e30.c2ln","version":1}"#
    // §4.3
    static let welcome = #"{"accepted":{"software":"adit/1.0.0"}}"#
    static let helloRefused = #"{"refused":{"code":"token_expired","message":"token expired at 2030-01-01T00:00:00Z"}}"#
    static let ending = #"{"ending":{"code":"token_expired","message":"token expired"}}"#
    static let expiring = #"{"token_expires_in":60}"#
    static let renewed = #"{"renewal":{"accepted":{}}}"#
    static let renewal = #"{"token":"eyJhbGciOiJIUzI1NiJ9.e30.c2ln"}"#
    // §5
    static let tunnelRequest = #"{"agent_id":"db-1"}"#
    static let tunnelOffer = #"{"client_address":"203.0.113.7","client_id":"alice"}"#
    static let accepted = #"{"accepted":{}}"#
    static let tunnelRefused = #"{"refused":{"code":"agent_not_found","message":"no agent is registered as db-1"}}"#
    // §7
    static let sessionHello = #"{"target":"localhost:5432","version":1}"#
    static let sessionHelloWithoutTarget = #"{"version":1}"#
    static let sessionWelcome = #"{"accepted":{"target":"localhost:5432"}}"#
    static let sessionRefused =
        #"{"refused":{"code":"target_forbidden","message":"this agent forwards to localhost:5432, not to localhost:22"}}"#
    // §8
    static let forwardRequest = #"{"target":"[::1]:5432"}"#
    static let forwardRefused = #"{"refused":{"code":"target_refused","message":"[::1]:5432: connection refused"}}"#

    static let all = [
        agentHello, clientHello, welcome, helloRefused, ending, expiring, renewed, renewal, tunnelRequest, tunnelOffer,
        accepted, tunnelRefused, sessionHello, sessionHelloWithoutTarget, sessionWelcome, sessionRefused,
        forwardRequest, forwardRefused,
    ]
}

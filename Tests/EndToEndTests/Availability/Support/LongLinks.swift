import TestSupport

/// Three networks in a row, joined by two emulated links of 1 Gbit/s and 40 ms of round trip (Tests/Emulator).
final class LongLinks: Sendable {
    /// Where the relay can be reached from the client's network, and from the agent's.
    static let relayHost = (client: "10.77.1.1", agent: "10.77.2.1")

    let client: Network
    let relay: Network
    let agent: Network
    private let name: String
    /// Where the emulators keep what they tell.
    private let directory: TemporaryDirectory

    /// The networks are made by root, and with a C compiler.
    init() throws {
        directory = try TemporaryDirectory()
        name = Network.newName("long")
        client = try Network(named: "\(name)-client")
        relay = try Network(named: "\(name)-relay")
        agent = try Network(named: "\(name)-agent")
        try LongLinks.script(["up", name, "rate=1000", "delay=20", "queue=5000000"], in: directory)
    }

    /// The emulators end with it, and the networks.
    deinit {
        do {
            try LongLinks.script(["down", name], in: directory)
        } catch {
            print("long links are left: \(error)")
        }
    }

    /// From now on each link loses so many of its packets, by chance.
    func lose(_ probability: Double) throws {
        for link in ["client", "agent"] {
            try LongLinks.script(["tell", name, link, "loss", "\(probability)"], in: directory)
        }
    }

    private static func script(_ arguments: [String], in directory: TemporaryDirectory) throws {
        let tests = #filePath.split(separator: "/").dropLast(4).map { "/\($0)" }.joined()
        let environment = ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR": directory.path]
        let (end, _, errors) = try Process.run(
            "\(tests)/Emulator/two-links.sh", arguments, environment: environment)
        guard end == .exited(0) else { throw ProcessError("two-links.sh \(arguments[0]): \(end), \(errors)") }
    }
}

import Synchronization
import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Whether this process may make networks of its own.
var mayMakeNetworks: Bool { geteuid() == 0 }

/// A network namespace: a network of its own, with its own loopback, deleted with its last reference.
final class Network: Sendable {
    private static let number = Atomic(0)

    let name: String
    private let ip: String
    /// Whether it goes with this object.
    private let isOurs: Bool

    /// - Parameter role: Part of its name, beside this process's ID.
    convenience init(_ role: String) throws {
        try self.init(named: Network.newName(role), isOurs: true)
        try execute(ip, "netns", "add", name)
        try execute(ip, "-n", name, "link", "set", "lo", "up")
    }

    /// A name that no other network has.
    static func newName(_ role: String) -> String {
        "adit-\(getpid())-\(number.add(1, ordering: .relaxed).newValue)\(role)"
    }

    /// A network that somebody else makes, and deletes.
    convenience init(named name: String) throws {
        try self.init(named: name, isOurs: false)
    }

    private init(named name: String, isOurs: Bool) throws {
        ip = try Program.path("ip", package: "iproute2")
        self.name = name
        self.isOurs = isOurs
    }

    deinit {
        guard isOurs else { return }
        // Its end of a cable goes with it. What cannot be deleted has been deleted by somebody else.
        _ = try? Process.run(ip, ["netns", "delete", name])
    }

    /// Put before a command, runs it in this network; the process keeps its ID.
    var launcher: [String] { [ip, "netns", "exec", name] }

    /// Lays a cable from `other` to here: 10.0.0.1 is at this end, 10.0.0.2 at the other.
    func connect(to other: Network) throws {
        try execute(ip, "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", other.name)
        for (network, address) in [(self, "10.0.0.1/30"), (other, "10.0.0.2/30")] {
            try execute(ip, "-n", network.name, "address", "add", address, "dev", "eth0")
            try execute(ip, "-n", network.name, "link", "set", "eth0", "up")
        }
    }

    /// Loses all packets that leave this network and match: without a word, as a firewall that forgot a connection.
    /// `lift()` ends it.
    func drop(_ match: String...) throws {
        let nft = try Program.path("nft", package: "nftables")
        let rule = match.joined(separator: " ")
        try execute(
            launcher + [
                nft,
                "add table inet lost; add chain inet lost out { type filter hook output priority 0; }; "
                    + "add rule inet lost out \(rule) drop",
            ])
    }

    /// Undoes `drop`.
    func lift() throws {
        try execute(launcher + [Program.path("nft", package: "nftables"), "delete table inet lost"])
    }

    /// The local ports of TCP connections of this network to a remote port.
    func localPorts(towards port: UInt16) throws -> [UInt16] {
        let ss = try Program.path("ss", package: "iproute2")
        let lines = try execute(launcher + [ss, "-Htn", "state", "established", "dport", "=", ":\(port)"])
        return lines.split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count >= 4 else { return nil }
            return fields[2].split(separator: ":").last.flatMap { UInt16($0) }
        }
    }

    /// Runs `body` inside the network. Sockets belong to the network that they were made in, for good.
    func inside<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) throws -> Result {
        let path = "/run/netns/\(name)"
        // A thread of its own, because it stays there.
        return try Background {
            try moveThread(intoNetworkAt: path)
            return try body()
        }.value()
    }
}

@discardableResult
private func execute(_ command: String...) throws -> String {
    try execute(command)
}

@discardableResult
private func execute(_ command: [String]) throws -> String {
    let (end, output, errors) = try Process.run(command[0], Array(command.dropFirst()))
    guard end == .exited(0) else { throw ProcessError("\(command.joined(separator: " ")): \(end), \(errors)") }
    return output
}

/// setns(2), which Swift does not see: it is declared for `_GNU_SOURCE` alone.
private func moveThread(intoNetworkAt path: String) throws(ProcessError) {
    typealias SetNamespace = @convention(c) (_ descriptor: Int32, _ kind: Int32) -> Int32
    guard let symbol = dlsym(nil, "setns") else { throw ProcessError("no setns on this system") }
    let setNamespace = unsafeBitCast(symbol, to: SetNamespace.self)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    defer { close(descriptor) }
    guard descriptor >= 0, setNamespace(descriptor, 0) == 0 else {
        throw ProcessError("cannot enter \(path): \(String(cString: strerror(errno)))")
    }
}

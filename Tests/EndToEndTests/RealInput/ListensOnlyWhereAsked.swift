#if os(Linux)
import TestSupport
import Testing

@Suite(.serialized) struct `a listening address` {
    @Test(arguments: ["127.0.0.1", "127.0.0.2"])
    func `is the one that was asked for, and the only one`(address: String) throws {
        let service = try Listener()
        try withTunnel(to: service, local: "\(address):0") { tunnel in
            #expect(try listeningAddresses(of: tunnel.connect) == ["\(address):\(tunnel.port)"])
            #expect(try listeningAddresses(of: tunnel.relay.process) == ["127.0.0.1:\(tunnel.relay.port)"])
            #expect(try listeningAddresses(of: tunnel.agent) == [])

            let connection = try Connection(to: tunnel.port, host: address)
            let served = try service.accept()
            try connection.send("hello")
            #expect(try served.receive(exactly: 5) == Array("hello".utf8))
        }
    }

    /// The TCP sockets of a process that listen, of both families, as `address:port`; those of IPv6 in the kernel's
    /// digits.
    private func listeningAddresses(of process: Process) throws -> [String] {
        let root = "/proc/\(process.processID)"
        let sockets = Set(
            try names(in: "\(root)/fd").compactMap { descriptor -> String? in
                guard let link = readLink("\(root)/fd/\(descriptor)"), link.hasPrefix("socket:[") else { return nil }
                return String(link.dropFirst("socket:[".count).dropLast())
            })
        #expect(!sockets.isEmpty)
        return try ["tcp", "tcp6"].flatMap { family in
            try text(of: "\(root)/net/\(family)").split(separator: "\n").dropFirst().compactMap { line in
                // sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[3] == "0A", sockets.contains(String(fields[9])) else { return nil }
                return address(hexadecimal: fields[1])
            }
        }
    }

    private func address(hexadecimal: Substring) -> String {
        let parts = hexadecimal.split(separator: ":")
        guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return String(hexadecimal) }
        guard parts[0].utf8.count == 8, let host = UInt32(parts[0], radix: 16) else { return "\(parts[0]):\(port)" }
        // The address is in network order, printed as this machine reads it.
        let bytes = withUnsafeBytes(of: host) { Array($0) }
        return bytes.map(String.init).joined(separator: ".") + ":\(port)"
    }
}
#endif

import TestSupport

/// What Linux lets wait to be read on each end of the TCP connections to `port`, in bytes of its memory.
///
/// - Parameter launcher: Put before a command, runs it in the network of the connections.
func receiveBuffers(ofConnectionsTo port: UInt16, through launcher: [String] = []) throws -> [Int] {
    let ss = try Program.path("ss", package: "iproute2")
    let command =
        launcher + [ss, "-Htnm", "state", "established", "( sport = :\(port) or dport = :\(port) )"]
    let (end, output, errors) = try Process.run(command[0], Array(command.dropFirst()))
    guard end == .exited(0) else { throw ProcessError("ss: \(end), \(errors)") }
    // skmem:(r0,rb131072,t0,tb2626560,…
    return output.split(separator: ",").compactMap { $0.hasPrefix("rb") ? Int($0.dropFirst(2)) : nil }
}

/// The same of a connection within one machine: twice what we ask for, or what the system lets one ask for.
func localReceiveBuffer() throws -> Int {
    let path = "/proc/sys/net/core/rmem_max"
    guard let most = Int(try text(of: path).prefix(while: \.isNumber)) else {
        throw ProcessError("no number in \(path)")
    }
    return 2 * min(160 << 10, most)
}

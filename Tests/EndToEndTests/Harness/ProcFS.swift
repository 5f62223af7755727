#if os(Linux)
import TestSupport

#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// What a symbolic link says, one of `/proc` too; nil when it is gone.
func readLink(_ path: String) -> String? {
    var target = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &target, target.count)
    return count < 0 ? nil : String(decoding: target.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

extension Process {
    /// The bytes of memory that the process has in use now.
    func residentBytes() throws -> Int {
        try memory("VmRSS")
    }

    /// What of them no file backs: all that it can have been made to hold.
    func anonymousBytes() throws -> Int {
        try memory("RssAnon")
    }

    /// How often it was given a page, or had some mapped, so far (minor faults).
    func pageFaults() throws -> Int {
        // Behind the name, which may hold anything: the eighth.
        let fields = try text(of: "/proc/\(processID)/stat").split(separator: ") ").last?.split(separator: " ")
        guard let count = fields?.dropFirst(7).first.flatMap({ Int($0) }) else {
            throw ProcessError("no minor faults for \(processID)")
        }
        return count
    }

    /// How often its threads have slept so far, for want of anything to do.
    func sleeps() throws -> Int {
        try names(in: "/proc/\(processID)/task").reduce(0) { count, thread in
            // One that ends meanwhile counts no more.
            count + ((try? value(of: "voluntary_ctxt_switches", in: "/proc/\(processID)/task/\(thread)/status")) ?? 0)
        }
    }

    private func memory(_ kind: String) throws -> Int {
        try value(of: kind, in: "/proc/\(processID)/status") * 1024
    }

    private func value(of key: String, in path: String) throws -> Int {
        let line = try text(of: path).split(separator: "\n").first { $0.hasPrefix(key + ":") }
        guard let value = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
            throw ProcessError("no \(key) in \(path)")
        }
        return value
    }
}

/// Bytes that wait to be read in the IPv4 connections whose local end has this port.
func unreadBytes(onPort port: UInt16) throws -> Int {
    // proc(5): number, local and remote address, state (`01` is established), `tx_queue:rx_queue`, all hexadecimal.
    try text(of: "/proc/net/tcp").split(separator: "\n").dropFirst().reduce(0) { sum, line in
        let fields = line.split(separator: " ")
        guard fields.count > 4, fields[1].split(separator: ":").last.flatMap({ Int($0, radix: 16) }) == Int(port),
            fields[3] == "01"
        else { return sum }
        return sum + (fields[4].split(separator: ":").last.flatMap { Int($0, radix: 16) } ?? 0)
    }
}
#endif

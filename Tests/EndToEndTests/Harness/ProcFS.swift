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

    private func memory(_ kind: String) throws -> Int {
        let line = try text(of: "/proc/\(processID)/status").split(separator: "\n").first { $0.hasPrefix(kind + ":") }
        guard let kibibytes = line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap({ Int($0) }) else {
            throw ProcessError("no \(kind) for \(processID)")
        }
        return kibibytes * 1024
    }
}
#endif

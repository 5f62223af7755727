import CSandbox

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What a role needs of the machine once its options are read. Everything else is given up, as far as the kernel can take
/// it: no privilege is gained any more, no file is written, made or executed outside `writable`, none is read but the
/// system's and those beside `readable`, no TCP connection is made to another port, no other process gets a signal.
///
/// Whoever takes over a confined process has the tunnels that run through it, and little more of the machine.
struct Sandbox {
    /// Files that the operator named. They may be replaced while we run, so their directories count.
    let readable: [String]
    /// Directories of our own.
    let writable: [String]
    /// TCP ports that may be dialed, of whatever host. DNS's is added.
    let ports: [UInt16]

    /// What libc and OpenSSL read when they are asked for a name or an authority. `/run`: credentials of systemd, and
    /// resolv.conf where systemd writes it. `/opt`: libraries that are loaded late.
    private static let system = ["/etc", "/usr", "/lib", "/lib64", "/opt", "/run", "/proc", "/sys", "/dev"]
    private static let dns: UInt16 = 53
    /// OpenSSL looks there for authorities in place of the system's.
    private static var authorities: [String] {
        ["SSL_CERT_FILE", "SSL_CERT_DIR"].compactMap { Invocation.current.environment[$0] }
    }

    /// Confines the calling thread and all that it makes from now on. To be called while there is no other: those that run
    /// already would stay free.
    ///
    /// - Returns: What could not be done, and why; nothing if all could.
    func enter() -> [String] {
        var error = adit_forbid_new_privileges()
        if error != 0 { return ["new privileges and Landlock (\(systemReason(error)))"] }
        let version = unsafe adit_landlock_version(&error)
        guard version > 0 else { return ["Landlock (\(systemReason(error)))"] }
        var missing: [String] = []
        if version < Landlock.connections { missing.append("TCP connections (Landlock \(version))") }
        if version < Landlock.signals { missing.append("signals (Landlock \(version))") }
        if Self.threadCount != 1 { missing.append("threads that run already") }
        error = confine(version)
        if error != 0 { return ["Landlock (\(systemReason(error)))"] }
        return missing
    }

    /// 0 or an error number.
    private func confine(_ version: Int32) -> Int32 {
        let hasNetwork = version >= Landlock.connections
        var error: Int32 = 0
        let rules = unsafe adit_landlock_make(
            FileRight.all(version), hasNetwork ? ConnectionRight.connect : 0,
            version >= Landlock.signals ? Scope.signals : 0, &error)
        guard rules >= 0 else { return error }
        defer { close(rules) }
        let read = Self.system + (readable + Self.authorities).flatMap(Self.directories)
        let grants =
            read.map { ($0, FileRight.reading) }
            + writable.map { ($0, FileRight.writing & FileRight.all(version)) }
        for (directory, rights) in grants {
            let error = adit_landlock_allow_beneath(rules, directory, rights)
            // What is not there need not be allowed.
            if error != 0, error != ENOENT, error != ENOTDIR { return error }
        }
        if hasNetwork {
            for port in ports + [Self.dns] {
                let error = adit_landlock_allow_port(rules, port, ConnectionRight.connect)
                if error != 0 { return error }
            }
        }
        return adit_landlock_apply(rules)
    }

    /// Where the file is by its name, and where it is when links are followed.
    private static func directories(of file: String) -> [String] {
        var all = [parent(of: file)]
        if let real = unsafe realpath(file, nil) {
            all.append(parent(of: unsafe String(cString: real)))
            unsafe free(real)
        }
        return all
    }

    private static func parent(of file: String) -> String {
        guard let slash = file.lastIndex(of: "/") else { return "." }
        return slash == file.startIndex ? "/" : String(file[..<slash])
    }

    /// 0 where it cannot be known.
    private static var threadCount: Int {
        guard let directory = unsafe opendir("/proc/self/task") else { return 0 }
        defer { unsafe closedir(directory) }
        var count = 0
        while let entry = unsafe readdir(directory) {
            if unsafe entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        return count
    }
}

// MARK: - The bits of landlock(7)

private enum Landlock {
    /// The versions that brought these.
    static let connections: Int32 = 4
    static let signals: Int32 = 6
}

private enum FileRight {
    /// Read a file, list a directory.
    static let reading: UInt64 = 1 << 2 | 1 << 3
    /// Write, cut, make, list and remove files; no devices, sockets or links.
    static let writing: UInt64 = reading | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 14

    /// All that this version of Landlock can take away: its first knew 13, and each of these brought one.
    static func all(_ version: Int32) -> UInt64 {
        let count: UInt64 = 13 + (version >= 2 ? 1 : 0) + (version >= 3 ? 1 : 0) + (version >= 5 ? 1 : 0)
        return 1 << count - 1
    }
}

private enum ConnectionRight {
    static let connect: UInt64 = 1 << 1
}

private enum Scope {
    static let signals: UInt64 = 1 << 1
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The arguments and environment that the process was started with. Any user of the machine may read a process's
/// arguments, and its own user the environment, for as long as it runs: secrets are copied out of both and overwritten
/// there.
struct Invocation: Sendable {
    /// Without the program's name.
    let arguments: [String]
    let environment: [String: String]

    /// Taken once, on first use, which `main` makes the first thing of all.
    static let current = Invocation()

    private static let secretOptions = ["--jwt-secret", "--secret", "--token"]
    private static let secretVariables = ["ADIT_JWT_SECRET", "ADIT_SECRET", "ADIT_TOKEN"]

    private init() {
        arguments = Self.takeArguments()
        environment = Self.takeEnvironment()
    }

    private static func takeArguments() -> [String] {
        var arguments: [String] = []
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { break }
            let text = unsafe String(cString: argument)
            if let previous = arguments.last, secretOptions.contains(previous) {
                unsafe wipe(argument)
            } else if let option = secretOptions.first(where: { text.hasPrefix("\($0)=") }) {
                unsafe wipe(argument + option.utf8.count + 1)
            }
            arguments.append(text)
        }
        return arguments
    }

    private static func takeEnvironment() -> [String: String] {
        var environment: [String: String] = [:]
        // The block of variables follows the arguments, which end with a null pointer (System V ABI, "Process
        // Initialization"). Those are the bytes that others can read; `environ` is a mutable global, and need not point
        // to them any more.
        var next = unsafe CommandLine.unsafeArgv + Int(CommandLine.argc) + 1
        while let variable = unsafe next.pointee {
            unsafe next += 1
            let text = unsafe String(cString: variable)
            guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let name = String(text[..<equals])
            environment[name] = String(text[text.utf8.index(after: equals)...])
            if secretVariables.contains(name) { unsafe wipe(variable + name.utf8.count + 1) }
        }
        return environment
    }

    private static func wipe(_ text: UnsafeMutablePointer<CChar>) {
        unsafe memset(text, 0, strlen(text))
    }
}

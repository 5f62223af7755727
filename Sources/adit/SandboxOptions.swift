import ArgumentParser
import CSandbox
import Logging

/// What the three roles give up once they know their files.
struct SandboxOptions: ParsableArguments {
    @Flag(help: "Allow core dumps and debuggers, which show keys.")
    var allowCoreDumps = false

    @Flag(help: "Keep all rights of the user: do not confine the process to the files and ports that it needs.")
    var noSandbox = false

    /// To be called before the first thread is made; says in the log what holds and what this kernel cannot do.
    func enter(_ sandbox: Sandbox, settings: Settings, logger: Logger) throws(Failure) {
        var missing: [String] = []
        if try settings.flag(.allowCoreDumps, allowCoreDumps) == false {
            let error = adit_forbid_core_dumps()
            if error != 0 { missing.append("core dumps (\(systemReason(error)))") }
        }
        let isOff = try settings.flag(.noSandbox, noSandbox)
        if !isOff { missing += sandbox.enter() }
        if !missing.isEmpty {
            logger.info("Sandbox incomplete: this system cannot confine \(missing.joined(separator: ", "))")
        } else if isOff {
            logger.info("Sandbox off: this process keeps all rights of its user")
        } else {
            logger.info("Sandbox complete: no new privileges; files, TCP connections and signals confined")
        }
    }
}

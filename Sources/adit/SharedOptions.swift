import ArgumentParser
import Logging

/// Options of every command.
struct SettingsOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("Read further settings from this file, a line ADIT_OPTION=VALUE each.", valueName: "file"))
    var config: String?

    func settings() throws(Failure) -> Settings {
        try Settings(environment: Invocation.current.environment, configurationFile: config)
    }
}

/// Where keys are kept.
struct StateOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Keep keys here. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/adit, else ~/.local/state/adit.",
            valueName: "directory"))
    var stateDir: String?

    func directory(_ settings: Settings) throws(Failure) -> StateDirectory {
        try StateDirectory(stateDir, settings: settings, environment: Invocation.current.environment)
    }
}

/// Options of the three roles.
struct LogOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Log this and above: trace, debug, info, notice, warning, error, critical. Default: info.",
            valueName: "level"))
    var logLevel: String?

    @Option(help: ArgumentHelp("Log as text or json, to standard error. Default: text.", valueName: "format"))
    var logFormat: String?

    func logger(_ settings: Settings) throws(Failure) -> Logger {
        let format = try settings.value(.logFormat, logFormat, .logFormat) ?? .text
        return format.logger(level: try settings.value(.logLevel, logLevel, .logLevel) ?? .info)
    }
}

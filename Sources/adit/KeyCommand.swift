import ArgumentParser
import TLSEngine

struct KeyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key",
        abstract: "Make, show or replace this machine's identity key.",
        subcommands: [KeyShowCommand.self, KeyGenerateCommand.self, KeyRotateCommand.self])
}

struct KeyShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Print the fingerprint of this machine's identity key.")

    @OptionGroup var state: StateOptions
    @OptionGroup var settings: SettingsOptions

    func run() throws {
        let state = try state.directory(settings.settings())
        guard FileContents.exists(state.identityFile) else {
            throw Failure.configuration(
                "there is no identity key at \(state.identityFile)", hint: "'adit key generate' makes one")
        }
        try StandardOutput.write("\(state.identity().fingerprint)")
    }
}

struct KeyGenerateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate", abstract: "Make an identity key where there is none, and print its fingerprint.")

    @OptionGroup var state: StateOptions
    @OptionGroup var settings: SettingsOptions

    func run() throws {
        let state = try state.directory(settings.settings())
        guard !FileContents.exists(state.identityFile) else {
            throw Failure.configuration(
                "there is an identity key at \(state.identityFile) already",
                hint: "'adit key show' prints its fingerprint")
        }
        try StandardOutput.write("\(state.identity().fingerprint)")
    }
}

struct KeyRotateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate", abstract: "Replace the identity key by a new one, and print its fingerprint.",
        discussion: """
            The old key signs the new one, so that peers that trust the old key follow. An agent or a relay that runs \
            has to be restarted.
            """)

    @OptionGroup var state: StateOptions
    @OptionGroup var settings: SettingsOptions

    func run() throws {
        let state = try state.directory(settings.settings())
        guard FileContents.exists(state.identityFile) else {
            throw Failure.configuration(
                "there is no identity key at \(state.identityFile)", hint: "'adit key generate' makes one")
        }
        try StandardOutput.write("\(state.rotateIdentity().fingerprint)")
        StandardError.write(
            "hint: restart what uses this key; tokens bound to the old key and files of authorized clients need the new one"
        )
    }
}

import Configuration

/// A value as somebody wrote it, and where, so that an error can point there.
struct SettingText {
    let text: String
    /// `--listen`, `ADIT_LISTEN` or `ADIT_LISTEN in FILE`.
    let origin: String
}

/// What was given for each option: the command line over the environment over the configuration file.
///
/// The library would merge the layers. They are asked one by one here because an error has to name the layer, and
/// because a secret given in one layer replaces its file given in a lower one. An empty variable counts as none: that
/// is how compose files and units unset one.
struct Settings {
    private struct Layer {
        let reader: ConfigReader
        /// What follows the variable's name in an error.
        let suffix: String

        init(_ variables: [String: String], suffix: String) {
            let provider = EnvironmentVariablesProvider(
                environmentVariables: variables.filter { !$0.value.isEmpty },
                secretsSpecifier: .specific(Set(OptionName.allCases.filter(\.isSecret).map(\.variable))))
            reader = ConfigReader(provider: provider).scoped(to: "adit")
            self.suffix = suffix
        }

        func text(_ option: OptionName) -> SettingText? {
            reader.string(forKey: ConfigKey(option.rawValue), isSecret: option.isSecret)
                .map { SettingText(text: $0, origin: option.variable + suffix) }
        }

        func list(_ option: OptionName) -> [SettingText]? {
            reader.stringArray(forKey: ConfigKey(option.rawValue))?
                .map { SettingText(text: $0, origin: option.variable + suffix) }
        }
    }

    private let layers: [Layer]

    /// - Parameter configurationFile: From the command line; `ADIT_CONFIG` names one otherwise.
    /// - Throws: `.configuration` for a file that cannot be read or understood.
    init(environment: [String: String], configurationFile: String?) throws(Failure) {
        let surroundings = Layer(environment, suffix: "")
        guard let path = configurationFile ?? surroundings.text(.config)?.text else {
            layers = [surroundings]
            return
        }
        layers = [surroundings, Layer(try EnvironmentFile(path: path).variables, suffix: " in \(path)")]
    }

    func text(_ option: OptionName, _ argument: String?) -> SettingText? {
        if let argument { return SettingText(text: argument, origin: option.flag) }
        return layers.lazy.compactMap { $0.text(option) }.first
    }

    /// A value in its proper type, or nil if it was given nowhere.
    ///
    /// - Throws: `.usage` for text that the format does not take.
    func value<Value>(_ option: OptionName, _ argument: String?, _ format: ValueFormat<Value>) throws(Failure) -> Value?
    {
        guard let given = text(option, argument) else { return nil }
        return try format.value(of: given)
    }

    /// - Throws: `.usage` for text that the format does not take, and where there is none.
    func required<Value>(
        _ option: OptionName, _ argument: String?, _ format: ValueFormat<Value>
    ) throws(Failure) -> Value {
        guard let value = try value(option, argument, format) else { throw .missing(option) }
        return value
    }

    /// The values of an option that may be repeated; nil if it was given nowhere. One layer's list replaces another's.
    func list<Value>(
        _ option: OptionName, _ arguments: [String], _ format: ValueFormat<Value>
    ) throws(Failure) -> [Value]? {
        let given =
            arguments.isEmpty
            ? layers.lazy.compactMap { $0.list(option) }.first
            : arguments.map { SettingText(text: $0, origin: option.flag) }
        guard let given else { return nil }
        var values: [Value] = []
        for text in given { values.append(try format.value(of: text)) }
        return values
    }

    /// The files that these options name.
    func files(_ options: (OptionName, argument: String?)...) -> [String] {
        options.compactMap { text($0.0, $0.argument)?.text }
    }

    func flag(_ option: OptionName, _ argument: Bool) throws(Failure) -> Bool {
        if argument { return true }
        return try value(option, nil, .boolean) ?? false
    }

    /// The first layer that gives either of two options that exclude each other.
    ///
    /// - Throws: `.usage` if a layer gives both.
    func either(
        _ first: (option: OptionName, argument: String?), _ second: (option: OptionName, argument: String?)
    ) throws(Failure) -> (first: SettingText?, second: SettingText?) {
        var pairs: [(SettingText?, SettingText?)] = [
            (
                first.argument.map { SettingText(text: $0, origin: first.option.flag) },
                second.argument.map { SettingText(text: $0, origin: second.option.flag) }
            )
        ]
        pairs += layers.map { ($0.text(first.option), $0.text(second.option)) }
        for case let (one, other) in pairs where one != nil || other != nil {
            if let one, let other { throw .usage("\(one.origin) and \(other.origin) exclude each other") }
            return (one, other)
        }
        return (nil, nil)
    }
}

extension Failure {
    static func missing(_ option: OptionName) -> Failure {
        .usage(
            "\(option.flag) is missing",
            hint: "give \(option.flag), or set \(option.variable) in the environment or the file of --config")
    }
}

import Logging
import Wire

/// How log lines look on standard error.
enum LogFormat: String, Sendable {
    /// `2026-11-21T00:00:00.123Z info  Agent connected: agent-id=db, ip=127.0.0.1`
    case text
    /// `{"time":"2026-11-21T00:00:00.123Z","level":"info","message":"Agent connected: agent-id=db, ip=127.0.0.1"}`
    case json

    func logger(level: Logger.Level) -> Logger {
        Logger(label: "adit") { _ in LineLogHandler(format: self, logLevel: level) }
    }

    fileprivate func line(_ event: LogEvent, _ metadata: [(String, String)]) -> String {
        switch self {
        case .text:
            let level = event.level.rawValue
            let padding = String(repeating: " ", count: max(0, 5 - level.count))
            let pairs = metadata.map { " \($0)=\($1)" }.joined()
            return "\(Timestamp.now) \(level)\(padding) \("\(event.message)\(pairs)".printable)"
        case .json:
            let fields = [
                ("time", "\(Timestamp.now)"), ("level", event.level.rawValue), ("message", "\(event.message)"),
            ]
            // A name of ours is not given away to metadata.
            return jsonLine(fields + metadata.filter { name, _ in !fields.contains { $0.0 == name } })
        }
    }
}

/// Writes each event as a line of its own. Safe from any thread, event loops among them.
private struct LineLogHandler: LogHandler {
    let format: LogFormat
    var logLevel: Logger.Level
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var all = metadata
        all.merge(metadataProvider?.get() ?? [:]) { _, new in new }
        all.merge(event.metadata ?? [:]) { _, new in new }
        StandardError.write(format.line(event, all.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }))
    }
}

import TestSupport

/// A frame as PROTOCOL §3.1 has it, with any values at all.
struct Frame: Equatable, Sendable {
    static let data: UInt8 = 0
    static let windowUpdate: UInt8 = 1
    static let ping: UInt8 = 2
    static let goAway: UInt8 = 3
    static let syn: UInt16 = 1
    static let reset: UInt16 = 8

    var version: UInt8 = 0
    var type: UInt8
    var flags: UInt16 = 0
    var stream: UInt32
    var length: UInt32
    var payload: [UInt8] = []

    /// A data frame whose length is true.
    static func data(_ payload: [UInt8], on stream: UInt32, flags: UInt16 = 0) -> Frame {
        Frame(type: data, flags: flags, stream: stream, length: UInt32(payload.count), payload: payload)
    }

    var bytes: [UInt8] {
        [version, type] + bigEndian(flags) + bigEndian(stream) + bigEndian(length) + payload
    }

    /// The whole frames in what a relay sent.
    static func all(in bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var rest = bytes[...]
        while rest.count >= 12 {
            let header = Array(rest.prefix(12))
            let number = { (range: Range<Int>) in header[range].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } }
            let size = header[1] == data ? Int(number(8..<12)) : 0
            guard rest.count >= 12 + size else { break }
            frames.append(
                Frame(
                    version: header[0], type: header[1], flags: UInt16(number(2..<4)), stream: number(4..<8),
                    length: number(8..<12), payload: Array(rest.dropFirst(12).prefix(size))))
            rest = rest.dropFirst(12 + size)
        }
        return frames
    }
}

/// A message as PROTOCOL §4.1 has it: two bytes of length, then JSON.
func message(_ json: String) -> [UInt8] {
    bigEndian(UInt16(json.utf8.count)) + Array(json.utf8)
}

private func bigEndian(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.bigEndian, Array.init)
}

/// A TLS client that says what a test tells it to, and nothing of its own: openssl's.
final class HostileClient: Sendable {
    let process: Process

    /// A client with a certificate, which is not asked what it wants to say.
    ///
    /// - Parameter options: For `openssl s_client`, in place of the right certificate and ALPN.
    init(to relay: Relay, in site: Site, options: [String]? = nil) throws {
        process = try Process(
            Program.path("openssl", package: "openssl"),
            ["s_client", "-quiet", "-nocommands", "-connect", relay.address]
                + (options ?? ["-alpn", "adit/1"] + Self.certificate(in: site)),
            input: .pipe)
    }

    /// Options that present a certificate made for the purpose.
    static func certificate(in site: Site) throws -> [String] {
        let (key, certificate) = (site.path("hostile.key"), site.path("hostile.pem"))
        try site.openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj",
            "/CN=hostile", "-keyout", key, "-out", certificate)
        return ["-cert", certificate, "-key", key]
    }

    func send(_ frames: Frame...) throws {
        for frame in frames { try process.write(frame.bytes) }
    }

    /// What the relay has sent so far.
    var received: [Frame] { Frame.all(in: process.output.bytes) }

    /// Waits for a frame.
    func awaitFrame(_ what: String, _ condition: (Frame) -> Bool) throws {
        let hasCome = try eventually(within: .seconds(10)) {
            if received.contains(where: condition) { return true }
            guard process.end != nil else { return false }
            // It may have ended since; this waits until the last that it received is there.
            try process.wait()
            guard received.contains(where: condition) else {
                throw ProcessError("ended without \(what): \(process.transcript)")
            }
            return true
        }
        guard hasCome else { throw ProcessError("no frame like \(what): \(process.transcript)") }
    }
}

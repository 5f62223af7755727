import Synchronization
import TLSEngine
import TestSupport

/// One end of TLS with frames inside, over any pipe of bytes: an attacker who has a key of his own and holds to as much of
/// the protocol as he likes. A link when the pipe is a TCP connection, a session when it is a tunnel stream.
///
/// `@unchecked Sendable`: the TLS connection is touched under `lock` only.
final class FrameLine: @unchecked Sendable {
    private struct State {
        var isEstablished = false
        var rest: [UInt8] = []
        var frames: [Frame] = []
        var end: String?
        var isPaused = false
    }

    private let tls: TLSConnection
    private let lock = Mutex(())
    private let transmit: @Sendable ([UInt8]) throws -> Void
    private let awaitRoom: @Sendable (Int) throws -> Void
    private let onClose: @Sendable () -> Void
    private let state = Monitor(State())
    private let hooks = Mutex(Hooks())

    private struct Hooks: Sendable {
        var onFrame: [@Sendable (Frame) -> Void] = []
        var onEnd: [@Sendable (String) -> Void] = []
    }

    /// - Parameters:
    ///   - transmit: Sends ciphertext.
    ///   - awaitRoom: Waits until the pipe takes so many bytes.
    ///   - onClose: Ends the pipe.
    init(
        tls: TLSConnection, transmit: @escaping @Sendable ([UInt8]) throws -> Void,
        awaitRoom: @escaping @Sendable (Int) throws -> Void = { _ in },
        onClose: @escaping @Sendable () -> Void = {}
    ) {
        self.tls = tls
        self.transmit = transmit
        self.awaitRoom = awaitRoom
        self.onClose = onClose
    }

    /// A line over a TCP connection, which a thread of its own reads.
    static func over(
        _ connection: Connection, tls: TLSConnection,
        onFrame: @escaping @Sendable (Frame, FrameLine) -> Void = { _, _ in }
    ) throws -> FrameLine {
        let line = FrameLine(
            tls: tls, transmit: { try connection.send($0) }, onClose: { try? connection.finishSending() })
        line.listen({ [unowned line] in onFrame($0, line) })
        try line.start()
        startThread {
            do {
                while case let bytes = try connection.receive(), !bytes.isEmpty {
                    try line.feed(bytes)
                    line.waitWhilePaused()
                }
                line.ended("closed by the other side")
            } catch {
                line.ended("\(error)")
            }
        }
        return line
    }

    // MARK: Out

    /// Says the first word, if that is ours.
    func start() throws { try feed([]) }

    func send(_ frames: Frame...) throws { try send(plaintext: frames.flatMap(\.bytes)) }

    func send(plaintext: [UInt8]) throws {
        guard state.wait(within: Process.patience, { $0.isEstablished || $0.end != nil ? () : nil }) != nil else {
            throw ProcessError("no handshake")
        }
        if let end { throw ProcessError("the line has ended: \(end)") }
        for start in stride(from: 0, to: plaintext.count, by: 65_536) {
            let piece = plaintext[start..<min(start + 65_536, plaintext.count)]
            var sealed = [UInt8](repeating: 0, count: TLSConnection.sealedSize(piece.count))
            // Not under the lock: room may come only once something has been read.
            try awaitRoom(sealed.count)
            try lock.withLock { _ in
                let count = try piece.withUnsafeBytes { from in
                    try sealed.withUnsafeMutableBytes { try tls.write(from, into: $0) }
                }
                try transmit(Array(sealed.prefix(count)))
            }
        }
    }

    /// Sends until the other side has had enough of it, or `times` over. Whether all of it went.
    @discardableResult
    func flood(with plaintext: [UInt8], times: Int) -> Bool {
        for _ in 0..<times {
            do { try send(plaintext: plaintext) } catch { return false }
        }
        return true
    }

    /// Ends the pipe, without a word.
    func drop() {
        resumeReading()
        onClose()
    }

    // MARK: In

    /// Takes ciphertext. Listeners are called before it returns.
    func feed(_ ciphertext: [UInt8]) throws {
        var plaintext: [UInt8] = []
        var failure: String?
        try lock.withLock { _ in
            ciphertext.withUnsafeBytes { bytes in
                tls.feed(bytes)
                do {
                    guard case .established = try tls.handshake() else { return }
                    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
                    defer { scratch.deallocate() }
                    while case .bytes(let count) = try tls.read(into: scratch) { plaintext += scratch[..<count] }
                } catch {
                    failure = "\(error)"
                }
            }
            var output = [UInt8](repeating: 0, count: tls.pendingOutput)
            let count = output.withUnsafeMutableBytes { tls.drainOutput(into: $0) }
            if count > 0 { try transmit(Array(output.prefix(count))) }
            if tls.peer != nil { state.change { $0.isEstablished = true } }
        }
        // Taken first: whoever begins to listen upon one of these frames does not hear of it again.
        let listeners = hooks.withLock { $0.onFrame }
        for frame in take(plaintext) {
            for listener in listeners { listener(frame) }
        }
        if let failure { ended(failure) }
    }

    private func take(_ plaintext: [UInt8]) -> [Frame] {
        guard !plaintext.isEmpty else { return [] }
        return state.change { state in
            state.rest += plaintext
            let frames = Frame.all(in: state.rest)
            state.rest.removeFirst(frames.reduce(0) { $0 + 12 + $1.payload.count })
            state.frames += frames
            return frames
        }
    }

    /// Calls `body` for every frame from now on, on the thread that reads.
    func listen(
        _ onFrame: @escaping @Sendable (Frame) -> Void, onEnd: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        hooks.withLock {
            $0.onFrame.append(onFrame)
            $0.onEnd.append(onEnd)
        }
    }

    func ended(_ reason: String) {
        state.change { $0.end = $0.end ?? reason }
        onClose()
        // The listeners may hold the line.
        let hooks = hooks.withLock { hooks in
            defer { hooks = Hooks() }
            return hooks
        }
        for hook in hooks.onEnd { hook(reason) }
    }

    /// Why it is over; nil while it is not.
    var end: String? { state.change { $0.end } }

    var isEstablished: Bool { state.change { $0.isEstablished } }

    var frames: [Frame] { state.change { $0.frames } }

    /// Stops reading after what is being read now.
    func pauseReading() { state.change { $0.isPaused = true } }

    func resumeReading() { state.change { $0.isPaused = false } }

    private func waitWhilePaused() {
        state.wait(within: .seconds(600)) { $0.isPaused ? nil : () }
    }

    /// Waits for a frame, or for the nth one like it.
    @discardableResult
    func awaitFrame(
        _ what: String, occurrence: Int = 1, within limit: Duration = Process.patience,
        _ condition: (Frame) -> Bool
    ) throws -> Frame {
        let found: Result<Frame, ProcessError>? = state.wait(within: limit) { state in
            let matches = state.frames.filter(condition)
            if matches.count >= occurrence { return .success(matches[occurrence - 1]) }
            return state.end.map { .failure(ProcessError("ended without \(what): \($0)")) }
        }
        guard let found else { throw ProcessError("no \(what) within \(limit): \(frames.suffix(20))") }
        return try found.get()
    }

    /// Waits for the other side to end it.
    @discardableResult
    func awaitEnd(within limit: Duration = Process.patience) throws -> String {
        guard let end = state.wait(within: limit, { $0.end }) else { throw ProcessError("not ended within \(limit)") }
        return end
    }
}

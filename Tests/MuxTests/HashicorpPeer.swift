import Testing
import Wire

@testable import Mux

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// hashicorp/yamux in a process of its own (Tests/Interop/yamux-peer) and our `Session` before it, on a socket pair and
/// without an event loop: everything happens in `receive`, which blocks.
final class HashicorpPeer {
    /// What becomes of streams that the peer opens.
    enum Service {
        /// All that comes goes back.
        case echo
        /// Once the peer has ended its half: how many bytes came.
        case count
    }

    struct Stream {
        var received: [UInt8] = []
        var pending: ArraySlice<UInt8> = []
        var isFinishing = false
        var isFinished = false
        var wasReset = false
        var service: Service?
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private(set) var session: Session
    private(set) var streams: [StreamID: Stream] = [:]
    private(set) var pongs: [UInt32] = []
    private(set) var goAways: [GoAwayCode] = []
    private(set) var largestWindow = 0
    /// For streams that the peer opens from now on.
    var service = Service.echo
    private let socket: Int32
    private var process: pid_t
    private var input: [UInt8] = []

    /// Starts the peer in the role opposite to `role`.
    init(role: Session.Role, limits: Limits = Limits()) throws {
        session = Session(role: role, limits: limits)
        var sockets: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, streamSocket, 0, &sockets) == 0 else {
            throw Failure(description: "socketpair: \(errno)")
        }
        // Whatever else is started meanwhile must not hold this end open.
        for socket in sockets { _ = fcntl(socket, F_SETFD, FD_CLOEXEC) }
        socket = sockets[0]
        defer { close(sockets[1]) }
        var deadline = timeval(tv_sec: 20, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &deadline, socklen_t(MemoryLayout<timeval>.size))
        process = try HashicorpPeer.start(role: role == .dialer ? "server" : "client", standardInput: sockets[1])
    }

    deinit {
        close(socket)
        if process > 0 {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
        }
    }

    /// Closes the connection and waits for the peer to exit; 0 when it is content.
    func hangUp() -> Int32 {
        shutdown(socket, Int32(SHUT_RDWR))
        var status: Int32 = -1
        waitpid(process, &status, 0)
        process = 0
        return status
    }

    // MARK: Streams

    /// Opens a stream and says, in its first line, what the peer is to do on it.
    func open(_ command: String) throws -> StreamID {
        let id = try openSilently()
        try write(Array((command + "\n").utf8), on: id)
        return id
    }

    func openSilently() throws -> StreamID {
        let (id, header) = try session.open()
        streams[id] = Stream()
        try send(header)
        return id
    }

    /// Sends as much as credit allows now, and the rest while `wait` receives credit.
    func write(_ bytes: [UInt8], on id: StreamID) throws {
        streams[id]?.pending += bytes
        try flush(id)
    }

    func finish(_ id: StreamID) throws {
        streams[id]?.isFinishing = true
        try flush(id)
    }

    func reset(_ id: StreamID) throws {
        if let header = session.reset(id) { try send(header) }
    }

    func stream(_ id: StreamID) -> Stream { streams[id] ?? Stream() }

    /// Everything the peer sends on the stream, once it has ended its half.
    func readToEnd(_ id: StreamID) throws -> [UInt8] {
        try wait { stream(id).isFinished || stream(id).wasReset }
        guard !stream(id).wasReset else { throw Failure(description: "stream \(id) was reset") }
        return stream(id).received
    }

    /// The peer's answer to a command that it answers with one line.
    func ask(_ command: String) throws -> String {
        let id = try open(command)
        let line = try readToEnd(id)
        try finish(id)
        return String(decoding: line, as: UTF8.self).trimmingNewline
    }

    // MARK: The session

    func ping(_ value: UInt32) throws { try send(session.ping(value)) }

    func goAway() throws { try send(session.goAway(.normal)) }

    /// Sends what no `Session` would.
    func sendRaw(_ header: FrameHeader, payload: [UInt8]) throws {
        try send(header)
        try transmit(payload)
    }

    /// Receives until `condition` holds; throws when nothing comes for a long time, or the peer hangs up.
    func wait(until condition: () -> Bool) throws {
        while !condition() {
            guard try receive() else { throw Failure(description: "the peer hung up") }
        }
    }

    /// Takes what the socket holds. False at its end.
    func receive() throws -> Bool {
        let count = withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 1) { buffer in
            let count = recv(socket, buffer.baseAddress, buffer.count, 0)
            if count > 0 { input.append(contentsOf: buffer[..<count]) }
            return count
        }
        if count == 0 || (count < 0 && errno == ECONNRESET) { return false }
        guard count > 0 else { throw Failure(description: "nothing came: errno \(errno)") }
        var start = 0
        while input.count - start >= FrameHeader.size {
            let header = try input.withUnsafeBytes { try FrameHeader(UnsafeRawBufferPointer(rebasing: $0[start...])) }
            let end = start + FrameHeader.size + header.payloadLength
            guard input.count >= end else { break }
            try perform(try session.receive(header), payload: input[(start + FrameHeader.size)..<end])
            start = end
        }
        input.removeFirst(start)
        return true
    }

    private func perform(_ action: ReceiveAction, payload: ArraySlice<UInt8>) throws {
        switch action {
        case .none, .discard: break
        case .send(let header): try send(header)
        case .pong(let value): pongs.append(value)
        case .goAway(let code): goAways.append(code)
        case .reset(let id, let error, let header, _):
            try send(header)
            throw Failure(description: "stream \(id): \(error)")
        case .stream(let event): try perform(event, payload: payload)
        }
    }

    private func perform(_ event: StreamEvent, payload: ArraySlice<UInt8>) throws {
        let id = event.id
        if event.opened {
            streams[id] = Stream(service: service)
            if let header = session.accept(id) { try send(header) }
        }
        if event.payload > 0, event.ending != .reset { try received(payload, on: id) }
        switch event.ending {
        case .finished:
            streams[id]?.isFinished = true
            if stream(id).service == .count { try write(Array("\(stream(id).received.count)\n".utf8), on: id) }
            if stream(id).service != nil { try finish(id) }
        case .reset: streams[id]?.wasReset = true
        case nil: break
        }
        try flush(id)
    }

    private func received(_ payload: ArraySlice<UInt8>, on id: StreamID) throws {
        if stream(id).service == .echo { streams[id]?.pending += payload } else { streams[id]?.received += payload }
        // On a clock that stands still every reader is fast, and the window grows.
        if let update = session.consumed(id, count: payload.count, now: 0) { try send(update) }
        largestWindow = max(largestWindow, session.streams[id]?.receiveWindow.size ?? 0)
    }

    private func flush(_ id: StreamID) throws {
        while let pending = streams[id]?.pending, !pending.isEmpty {
            let count = min(pending.count, session.sendCredit(id))
            guard count > 0, let header = session.send(id, count: count) else { return }
            streams[id]?.pending = pending.dropFirst(count)
            try send(header)
            try transmit(Array(pending.prefix(count)))
        }
        guard stream(id).isFinishing, let header = session.finish(id) else { return }
        try send(header)
    }

    // MARK: The socket

    private func send(_ header: FrameHeader) throws {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { header.write(to: base) } }
        try transmit(bytes)
    }

    /// The peer never stops reading, so this cannot block for long.
    private func transmit(_ bytes: [UInt8]) throws {
        try bytes.withUnsafeBytes { bytes in
            var sent = 0
            while sent < bytes.count {
                let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
                let count = sendBytes(socket, rest)
                guard count > 0 else { throw Failure(description: "send: errno \(errno)") }
                sent += count
            }
        }
    }
}

// MARK: - The process

extension HashicorpPeer {
    private static func start(role: String, standardInput: Int32) throws -> pid_t {
        let path = try executable()
        #if canImport(Darwin)
        var actions: posix_spawn_file_actions_t?
        #else
        var actions = posix_spawn_file_actions_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, standardInput, 0)
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup(path), strdup("-role"), strdup(role), nil]
        defer { for argument in arguments { free(argument) } }
        var process: pid_t = 0
        let result = posix_spawn(&process, path, &actions, nil, &arguments, environ)
        guard result == 0 else {
            throw Failure(description: "\(path) does not start: \(String(cString: strerror(result)))")
        }
        return process
    }

    /// The peer's path: `ADIT_YAMUX_PEER`, else where deploy/build-yamux-peer puts it.
    private static func executable() throws -> String {
        if let path = getenv("ADIT_YAMUX_PEER") { return String(cString: path) }
        let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        let path = "\(root)/.build/interop-yamux"
        guard access(path, X_OK) == 0 else {
            throw Failure(description: "hashicorp's peer is not built: run deploy/build-yamux-peer")
        }
        return path
    }
}

#if canImport(Glibc)
private let streamSocket = Int32(SOCK_STREAM.rawValue)
#else
private let streamSocket = SOCK_STREAM
#endif

/// Without the signal that would end the tests when the peer has hung up.
private func sendBytes(_ socket: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    #if canImport(Darwin)
    Darwin.send(socket, bytes.baseAddress, bytes.count, 0)
    #else
    send(socket, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    #endif
}

extension String {
    fileprivate var trimmingNewline: String { hasSuffix("\n") ? String(dropLast()) : self }
}

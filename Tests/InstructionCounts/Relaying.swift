import NIOCore
import Transport

/// Sends `count` bytes from connect to the agent on one stream, which takes them at once.
func relayBytes(_ count: Int) throws {
    var sink: Sink?
    let links = try SplicedLinks { stream in
        stream.accept()
        let opened = Sink(stream)
        stream.delegate = opened
        sink = opened
    }
    let source = Source(try links.open(), count: count)
    links.run()
    source.fill()
    links.run()
    try WorkDiffers.check(sink?.received ?? -1, is: count, "bytes relayed")
}

/// Makes `rounds` requests of 100 bytes on each of 64 streams, answered with 1,000 bytes, all streams at once.
func relayRequests(_ rounds: Int) throws {
    let links = try SplicedLinks { stream in
        stream.accept()
        stream.delegate = Answerer(stream)
    }
    let requesters = try (0..<64).map { _ in Requester(try links.open(), rounds: rounds) }
    links.run()
    for requester in requesters { requester.request() }
    links.run()
    let answered = requesters.reduce(0) { $0 + $1.answered }
    try WorkDiffers.check(answered, is: rounds * requesters.count, "requests answered")
}

/// Writes for as long as the stream takes it, as much at once as a forward reads.
private final class Source: MuxStreamDelegate {
    private static let piece = ByteBuffer(repeating: 0x5a, count: 256 * 1024)

    private let stream: MuxStream
    private var remaining: Int

    init(_ stream: MuxStream, count: Int) {
        self.stream = stream
        remaining = count
        stream.delegate = self
    }

    func fill() {
        while remaining > 0, stream.isWritable {
            guard let piece = Source.piece.getSlice(at: 0, length: min(remaining, Source.piece.readableBytes)) else {
                return
            }
            stream.write(piece)
            remaining -= piece.readableBytes
        }
        if remaining > 0 { stream.awaitRoom() }
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {}

    func streamFinished() {}

    func streamReset(_ reason: String) {}

    func streamWritable() {
        fill()
    }
}

private final class Sink: MuxStreamDelegate {
    private let stream: MuxStream
    private(set) var received = 0

    init(_ stream: MuxStream) {
        self.stream = stream
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        stream.consumed(bytes.count)
    }

    func streamFinished() {}

    func streamReset(_ reason: String) {}

    func streamWritable() {}
}

private final class Requester: MuxStreamDelegate {
    static let request = ByteBuffer(repeating: 0x5a, count: 100)

    private let stream: MuxStream
    private let rounds: Int
    private var received = 0
    private(set) var answered = 0

    init(_ stream: MuxStream, rounds: Int) {
        self.stream = stream
        self.rounds = rounds
        stream.delegate = self
    }

    func request() {
        if answered < rounds { stream.write(Requester.request) }
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        stream.consumed(bytes.count)
        guard received >= Answerer.answer.readableBytes else { return }
        received -= Answerer.answer.readableBytes
        answered += 1
        request()
    }

    func streamFinished() {}

    func streamReset(_ reason: String) {}

    func streamWritable() {}
}

private final class Answerer: MuxStreamDelegate {
    static let answer = ByteBuffer(repeating: 0xa5, count: 1_000)

    private let stream: MuxStream
    private var received = 0

    init(_ stream: MuxStream) {
        self.stream = stream
    }

    func streamReceived(_ bytes: UnsafeRawBufferPointer) {
        received += bytes.count
        stream.consumed(bytes.count)
        guard received >= Requester.request.readableBytes else { return }
        received -= Requester.request.readableBytes
        stream.write(Answerer.answer)
    }

    func streamFinished() {}

    func streamReset(_ reason: String) {}

    func streamWritable() {}
}

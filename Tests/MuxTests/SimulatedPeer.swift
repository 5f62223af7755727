import Wire

@testable import Mux

/// A frame on the virtual network. Its payload is told by where in the stream it begins: that suffices to see whether
/// bytes come complete and in order, and costs nothing however many they are.
struct SimulatedFrame {
    let header: [UInt8]
    let offset: Int
}

/// One side of a simulated session: a `Session` and the handler around it, which opens, sends, reads, half-closes and
/// resets at random, and keeps its own books to hold the session's against.
struct SimulatedPeer {
    /// One stream as its owner sees it.
    struct Book {
        var isAccepted: Bool
        /// Bytes the owner means to send in all.
        var plan: Int
        var sent = 0
        var finishSent = false
        var received = 0
        var consumed = 0
        var finishReceived = false
        /// Credit this side has given out beyond the initial window.
        var creditGiven = 0
        /// Credit that has come in beyond the initial window.
        var creditTaken = 0

        var unread: Int { received - consumed }
    }

    /// A stream that has come to its end, for the two sides to be compared.
    struct Ended {
        var book: Book
        var wasReset: Bool
    }

    let name: String
    var session: Session
    var books: [StreamID: Book] = [:]
    var ended: [StreamID: Ended] = [:]
    var outbox: [SimulatedFrame] = []
    var faults: [String] = []
    /// Once set, no stream is opened or reset any more, and everything goes to its end.
    var isWindingUp = false
    private let limits: Limits
    private var random: SplitMix64

    init(name: String, role: Session.Role, limits: Limits, seed: UInt64) {
        self.name = name
        self.limits = limits
        session = Session(role: role, limits: limits)
        random = SplitMix64(seed: seed)
    }

    var isDone: Bool { books.isEmpty && outbox.isEmpty }

    // MARK: Receiving

    mutating func receive(_ frame: SimulatedFrame) {
        do {
            let header = try frame.header.withUnsafeBytes { try FrameHeader($0) }
            perform(try session.receive(header), offset: frame.offset)
        } catch {
            fault("the session ended: \(error)")
        }
    }

    private mutating func perform(_ action: ReceiveAction, offset: Int) {
        switch action {
        case .none, .discard, .pong: break
        case .send(let header): send(header)
        case .goAway(let code): fault("go-away \(code)")
        case .reset(let id, let error, let header, _):
            // Two honest peers know each other's windows; they do not know each other's limits.
            switch error {
            case .tooManyStreams, .tooManyUnaccepted: send(header)
            case .dataBeyondWindow, .dataAfterFinish: fault("stream \(id): \(error)")
            }
        case .stream(let event): perform(event, offset: offset)
        }
    }

    private mutating func perform(_ event: StreamEvent, offset: Int) {
        let id = event.id
        if event.opened { books[id] = Book(isAccepted: false, plan: plan()) }
        guard var book = books[id] else { return fault("an event for stream \(id), which has no owner") }
        book.creditTaken += event.credit
        if event.payload > 0, event.ending != .reset {
            if book.finishReceived { fault("stream \(id): data after its end") }
            if offset != book.received { fault("stream \(id): byte \(offset) came where \(book.received) was due") }
            book.received += event.payload
            if book.received > Protocol.initialWindow + book.creditGiven { fault("stream \(id): window exceeded") }
        }
        if event.ending == .finished { book.finishReceived = true }
        books[id] = book
        if event.ending == .reset { end(id, reset: true) } else { endIfBothFinished(id) }
    }

    // MARK: Acting

    mutating func act() {
        if !isWindingUp, random.oneIn(4) { open() }
        for id in books.keys.sorted() {
            guard isWindingUp || random.oneIn(2) else { continue }
            if !isWindingUp, random.oneIn(60) {
                reset(id)
                continue
            }
            accept(id)
            sendSome(id)
            consumeSome(id)
            finishPerhaps(id)
            checkCredit(id)
        }
    }

    private mutating func plan() -> Int {
        random.oneIn(5) ? Int.random(in: 0...8_000_000, using: &random) : Int.random(in: 0...100_000, using: &random)
    }

    private mutating func open() {
        do {
            let (id, header) = try session.open()
            books[id] = Book(isAccepted: true, plan: plan())
            send(header)
        } catch .tooManyStreams {
            // Its own limit: the handler waits.
        } catch {
            fault("open: \(error)")
        }
    }

    private mutating func accept(_ id: StreamID) {
        guard books[id]?.isAccepted == false, isWindingUp || random.oneIn(2) else { return }
        books[id]?.isAccepted = true
        guard let header = session.accept(id) else { return fault("stream \(id) cannot be accepted") }
        send(header)
    }

    private mutating func sendSome(_ id: StreamID) {
        guard let book = books[id], !book.finishSent else { return }
        let most = min(book.plan - book.sent, session.sendCredit(id))
        guard most > 0 else { return }
        let count = random.oneIn(3) ? most : Int.random(in: 1...most, using: &random)
        guard let header = session.send(id, count: count) else { return fault("stream \(id): credit was refused") }
        send(header, offset: book.sent)
        books[id]?.sent += count
    }

    private mutating func consumeSome(_ id: StreamID) {
        guard let unread = books[id]?.unread, unread > 0 else { return }
        let count = isWindingUp || random.oneIn(2) ? unread : Int.random(in: 1...unread, using: &random)
        books[id]?.consumed += count
        // A clock that stands still makes every reader a fast one: windows grow as far as the limits allow.
        if let update = session.consumed(id, count: count, now: 0) {
            books[id]?.creditGiven += Int(update.length)
            send(update)
        }
    }

    private mutating func finishPerhaps(_ id: StreamID) {
        guard let book = books[id], !book.finishSent, book.sent == book.plan, isWindingUp || random.oneIn(3) else {
            return
        }
        guard let header = session.finish(id) else { return fault("stream \(id) cannot be finished") }
        books[id]?.finishSent = true
        send(header)
        endIfBothFinished(id)
    }

    private mutating func reset(_ id: StreamID) {
        guard let header = session.reset(id) else { return fault("stream \(id) cannot be reset") }
        send(header)
        end(id, reset: true)
    }

    // MARK: Books

    private mutating func endIfBothFinished(_ id: StreamID) {
        guard let book = books[id], book.finishSent, book.finishReceived else { return }
        end(id, reset: false)
    }

    private mutating func end(_ id: StreamID, reset: Bool) {
        guard let book = books.removeValue(forKey: id) else { return }
        if session.isOpen(id) { fault("stream \(id) outlived its end") }
        ended[id] = Ended(book: book, wasReset: reset)
    }

    /// What the session says of the stream's credit, against what this side has seen go by.
    private mutating func checkCredit(_ id: StreamID) {
        guard let book = books[id] else { return }
        let credit = Protocol.initialWindow + book.creditTaken - book.sent
        if !book.finishSent, session.sendCredit(id) != credit {
            fault("stream \(id): send credit \(session.sendCredit(id)), not \(credit)")
        }
        guard let window = session.streams[id]?.receiveWindow else { return fault("stream \(id) has an owner alone") }
        if window.remaining != Protocol.initialWindow + book.creditGiven - book.received {
            fault("stream \(id): the peer may send \(window.remaining)")
        }
        if window.remaining + book.unread + window.owed != window.size { fault("stream \(id): credit leaked") }
        if window.size > limits.largestWindow { fault("stream \(id): window of \(window.size)") }
        if session.grown > limits.growthBudget { fault("grown by \(session.grown)") }
    }

    private mutating func send(_ header: FrameHeader, offset: Int = 0) {
        var bytes = [UInt8](repeating: 0, count: FrameHeader.size)
        bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { header.write(to: base) } }
        outbox.append(SimulatedFrame(header: bytes, offset: offset))
    }

    private mutating func fault(_ text: String) {
        faults.append("\(name): \(text)")
    }
}

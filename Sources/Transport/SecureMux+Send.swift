import DequeModule
import Mux
import NIOCore
import TLSEngine
import Wire

extension SecureMux: Flushable {
    // MARK: Streams

    func accept(_ stream: MuxStream) {
        if let header = session.accept(stream.id) { put(header) }
    }

    func reset(_ stream: MuxStream) {
        if let header = session.reset(stream.id) { put(header) }
        forget(stream)
        let peer = stream.splice?.peer
        stream.detach()
        peer?.hop { $0.reset() }
    }

    /// Resets a stream for what its peer did, and tells its owner why.
    func breakOff(_ stream: MuxStream, reason: String) {
        if let header = session.reset(stream.id) { put(header) }
        forget(stream)
        abandon(stream, reason: reason)
    }

    func forget(_ stream: MuxStream) {
        streams[stream.id] = nil
        withheld[stream.id] = nil
        turnLength.forget(stream)
        account(for: session.grown)
    }

    /// Sends a few bytes ahead of everything that is pending or spliced. False beyond the stream's credit.
    func sendNow(_ bytes: ByteBuffer, on stream: MuxStream) -> Bool {
        guard let header = session.send(stream.id, count: bytes.readableBytes) else { return false }
        bytes.withUnsafeReadableBytes { put(header, payload: $0) }
        return true
    }

    /// Sends bytes for which no other stream has to wait longer than for those that have little to send anyway. False if
    /// they have to take their turn.
    func sendAtOnce(_ bytes: UnsafeRawBufferPointer, on stream: MuxStream) -> Bool {
        guard phase == .running, quick.isEmpty, bytes.count <= LoopContext.stagingSize, !bytes.isEmpty,
            let carrier, carrier.isWritable,
            gathered < LoopContext.stagingSize || gathered < quickShare(of: carrier.room),
            let header = session.send(stream.id, count: bytes.count)
        else { return false }
        noteTurn(of: stream, bytes.count)
        put(header, payload: bytes)
        return true
    }

    func consumed(_ stream: MuxStream, count: Int) {
        let update = session.consumed(
            stream.id, count: count, now: Int64(bitPattern: NIODeadline.now().uptimeNanoseconds),
            spare: loop.spareWindow)
        guard let update else { return }
        account(for: session.grown)
        put(update)
    }

    func grant(_ stream: MuxStream, count: Int) {
        if let header = session.grant(stream.id, count: count) { put(header) }
    }

    func grantBacklog(to stream: MuxStream) {
        guard isBacklogDue(stream) else { return }
        let count = min(stream.creditBacklog, room(of: stream))
        stream.creditBacklog -= count
        grant(stream, count: count)
    }

    /// What does not fit waits for a good part of the window, or credit would go out a frame at a time.
    func isBacklogDue(_ stream: MuxStream) -> Bool {
        guard stream.creditBacklog > 0 else { return false }
        let room = room(of: stream)
        return room >= stream.creditBacklog || room >= Protocol.largestWindow / 4
    }

    /// What may be granted on a spliced stream now.
    private func room(of stream: MuxStream) -> Int {
        Protocol.largestWindow - session.receiveCredit(stream.id)
    }

    func becameReady(_ stream: MuxStream) {
        guard !stream.isReady else { return }
        stream.isReady = true
        if stream.pendingBytes <= LoopContext.stagingSize { quick.append(stream) } else { ready.append(stream) }
        becameDirty()
    }

    /// Lets streams send in turn until a batch is full, as far as the carrier takes it, and owners in line write more:
    /// bytes are read, and sealed, when they can leave. Until then they wait in a socket, and not in memory of ours.
    ///
    /// Streams with little to send go first, with up to half of it: the others must get on too.
    private func pump() {
        guard let carrier, carrier.isWritable else { return }
        unreadControl = 0
        let room = carrier.room
        let mayAsk = room > 0 && askedCycle != loop.cycle
        while phase == .running {
            if gathered < quickShare(of: room), let stream = quick.popFirst() {
                send(stream)
            } else if gathered >= min(room, SecureMux.batch) {
                break
            } else if mayAsk, isWorthAsking(room), isTurnOfLine || ready.isEmpty, let stream = line.popFirst() {
                isTurnOfLine = false
                askedCycle = loop.cycle
                stream.isInLine = false
                ask(stream)
                // What it wrote counts at once, or each newcomer's turn would let another one write.
                if ready.last === stream {
                    send(ready.removeLast(), atMost: room - gathered)
                } else if quick.last === stream {
                    send(quick.removeLast())
                }
            } else if let stream = ready.popFirst() ?? quick.popFirst() {
                isTurnOfLine = true
                send(stream, atMost: room - gathered)
            } else {
                break
            }
        }
    }

    /// Whether there is room for a good part of a turn: who is asked for the last of a batch, again and again, would have less
    /// than the others, and read a little at a time. Twice half a window fills a batch.
    private func isWorthAsking(_ room: Int) -> Bool {
        gathered == 0 || gathered < turnLength.bytes && room - gathered >= turnLength.bytes * 3 / 8
    }

    /// Bytes that go to the carrier next.
    private var gathered: Int { sealed.readableBytes + staged }

    /// What streams with little to send may have of it before the others, who are asked before a turn's worth has gathered; a
    /// record's worth where there is no room.
    private func quickShare(of room: Int) -> Int { max(min(room, turnLength.bytes) / 2, LoopContext.stagingSize) }

    /// A session's batch is not cut for the few bytes by which it is longer when it is sealed.
    private func send(_ stream: MuxStream, atMost room: Int = .max) {
        stream.isReady = false
        let count = min(session.sendCredit(stream.id), room, SecureMux.batch + LoopContext.stagingSize)
        if count > 0, let (payload, isLast) = stream.takePending(count),
            let header = session.send(stream.id, count: payload.readableBytes)
        {
            noteTurn(of: stream, payload.readableBytes)
            payload.withUnsafeReadableBytes { put(header, payload: $0) }
            if isLast { loop.giveBack(payload) }
        }
        if stream.pendingBytes > 0 {
            if session.sendCredit(stream.id) > 0 { becameReady(stream) }
        } else if case .finishing = stream.outgoing {
            stream.outgoing = .ended
            if let header = session.finish(stream.id) { put(header) }
            forgetIfClosed(stream)
        }
        joinLine(stream)
    }

    private func noteTurn(of stream: MuxStream, _ count: Int) {
        if turnLength.note(count, of: stream) { carrier?.shortenTurns() }
    }

    // MARK: Room

    /// Bytes that leave at once if they are written on the stream now; 0 if others have waited longer.
    func room(for stream: MuxStream) -> Int {
        guard phase == .running, stream.pendingBytes == 0, gathered < turnLength.bytes,
            asked === stream || ready.isEmpty && line.isEmpty, let carrier
        else { return 0 }
        return max(0, min(session.sendCredit(stream.id), carrier.room - gathered, turnLength.bytes))
    }

    /// Has the stream's owner told of room when it is its turn, if nothing else is waited for: credit, or what is pending.
    func joinLine(_ stream: MuxStream) {
        guard mayBeAsked(stream), !stream.isInLine else { return }
        stream.isInLine = true
        line.append(stream)
        becameDirty()
    }

    private func mayBeAsked(_ stream: MuxStream) -> Bool {
        stream.awaitsRoom && stream.pendingBytes == 0 && session.sendCredit(stream.id) > 0
    }

    private func ask(_ stream: MuxStream) {
        guard mayBeAsked(stream) else { return }
        asked = stream
        stream.tellOfRoom()
        asked = nil
    }

    /// Whoever has not had his turn has it in the next turn of the event loop, or when there is room.
    private func seeToTheRest() {
        guard phase == .running, !quick.isEmpty || !ready.isEmpty || !line.isEmpty, let carrier else { return }
        guard carrier.room > 0 else { return carrier.awaitRoom() }
        guard !isLineDue else { return }
        isLineDue = true
        loop.inNextTurn {
            self.isLineDue = false
            self.becameDirty()
        }
    }

    // MARK: Frames

    /// A frame without payload.
    func put(_ header: FrameHeader) {
        guard mayQueueControl() else { return }
        stage(header)
    }

    /// Answers (to pings, say) are not bounded by credit: a peer that asks for ever and reads nothing is cut off.
    private func mayQueueControl() -> Bool {
        guard phase == .running, carrier?.isWritable == false else {
            unreadControl = 0
            return true
        }
        unreadControl += FrameHeader.size
        guard unreadControl > SecureMux.controlLimit else { return true }
        end(.misbehaved(reason: "it does not read what it asks for"))
        return false
    }

    /// A data frame, for which there was credit. The header shares a record with the first of the payload; the rest of a
    /// long payload is sealed from where it lies.
    func put(_ header: FrameHeader, payload bytes: UnsafeRawBufferPointer) {
        stage(header)
        let gathered = min(bytes.count, LoopContext.stagingSize - staged)
        stage(UnsafeRawBufferPointer(rebasing: bytes.prefix(gathered)))
        sealOrStage(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(gathered)))
    }

    /// Spliced frames, whole.
    func put(run: UnsafeRawBufferPointer) {
        let before = sealed.readableBytes
        sealOrStage(run)
        becameDirty()
        if before < SecureMux.batch, sealed.readableBytes >= SecureMux.batch { loop.willSend(self) }
    }

    /// Whole records are sealed from where they lie; what is left over is copied, to share a record with what follows.
    private func sealOrStage(_ bytes: UnsafeRawBufferPointer) {
        let whole = bytes.count - bytes.count % LoopContext.stagingSize
        if whole > 0 {
            sealStaging()
            seal(UnsafeRawBufferPointer(rebasing: bytes.prefix(whole)))
        }
        stage(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(whole)))
    }

    private func stage(_ header: FrameHeader) {
        stage(count: FrameHeader.size) { header.write(to: $0) }
        becameDirty()
    }

    private func stage(_ bytes: UnsafeRawBufferPointer) {
        guard !bytes.isEmpty else { return }
        stage(count: bytes.count) {
            $0.copyMemory(from: bytes.baseAddress ?? UnsafeRawPointer($0), byteCount: bytes.count)
        }
    }

    private func stage(count: Int, _ fill: (UnsafeMutableRawPointer) -> Void) {
        if staged + count > LoopContext.stagingSize { sealStaging() }
        let staging = self.staging ?? loop.takeStaging()
        self.staging = staging
        guard let base = staging.baseAddress else { return }
        fill(base + staged)
        staged += count
    }

    // MARK: Records

    func sealStaging() {
        guard let staging else { return }
        let bytes = UnsafeRawBufferPointer(rebasing: staging.prefix(staged))
        self.staging = nil
        staged = 0
        if !bytes.isEmpty { seal(bytes) }
        loop.giveBack(staging: staging)
    }

    private func seal(_ plaintext: UnsafeRawBufferPointer) {
        guard phase == .running else { return }
        if sealed.storageCapacity == 0 { sealed = loop.takeSealed() }
        do {
            try sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: TLSConnection.sealedSize(plaintext.count)) {
                try tls.write(plaintext, into: $0)
            }
        } catch {
            end(.lost(reason: "TLS cannot send: \(error)"))
        }
    }

    /// Handshake messages, key updates and alerts that the TLS engine wants sent.
    func takeTLSOutput() {
        let count = tls.pendingOutput
        guard count > 0 else { return }
        if sealed.storageCapacity == 0 { sealed = loop.takeSealed() }
        sealed.writeWithUnsafeMutableBytes(minimumWritableBytes: count) { tls.drainOutput(into: $0) }
        becameDirty()
    }

    func becameDirty() {
        guard !isDirty, phase != .ended else { return }
        isDirty = true
        loop.willFlush(self)
    }

    /// Sends what has gathered, then lets streams fill batch after batch while the carrier takes them.
    package func flush() {
        isDirty = false
        repeat {
            pump()
            sealStaging()
            takeTLSOutput()
            sendSealed()
        } while phase == .running && maySend
        seeToTheRest()
    }

    private var maySend: Bool {
        guard let carrier else { return false }
        return quick.isEmpty ? !ready.isEmpty && carrier.room > 0 : carrier.isWritable
    }

    func sendSealed() {
        guard sealed.readableBytes > 0 else { return }
        let batch = sealed
        sealed = ByteBuffer()
        carrier?.write(batch)
    }
}

import Mux
import NIOCore
import TLSEngine
import Wire

/// The data frame whose payload is arriving.
struct CurrentFrame {
    /// Nil when the payload is nobody's.
    let stream: MuxStream?
    var remaining: Int
    let ending: StreamEvent.Ending?
}

/// Neighbouring frames in scratch memory, already re-addressed, that all go to one link.
struct SplicedRun {
    let target: SecureMux
    let start: UnsafeMutableRawPointer
    var count: Int
}

extension SecureMux {
    /// Takes ciphertext from the carrier. Streams' delegates are called before it returns.
    package func receive(_ ciphertext: UnsafeRawBufferPointer) {
        eventLoop.assertInEventLoop()
        guard phase != .ended else { return }
        loop.receiving += 1
        defer { loop.receiving -= 1 }
        tls.feed(ciphertext)
        do throws(TLSError) {
            if phase == .handshaking, try tls.handshake() == .established { becameEstablished() }
            if phase == .running { try readPlaintext() }
        } catch {
            end(failure(of: error))
            return
        }
        takeTLSOutput()
    }

    private func becameEstablished() {
        phase = .running
        guard let peer = tls.peer else { return end(.handshake(reason: "the peer presented no certificate")) }
        ping()
        delegate?.muxEstablished(peerKey: peer.fingerprint)
    }

    private func readPlaintext() throws(TLSError) {
        let scratch = loop.takeScratch()
        defer { loop.giveBack(scratch: scratch) }
        while phase == .running {
            // The first 12 bytes are room for a header, should the rest of a spliced frame begin here.
            var end = FrameHeader.size
            for byte in partialHeader {
                scratch[end] = byte
                end += 1
            }
            partialHeader.removeAll(keepingCapacity: true)
            var result = TLSConnection.ReadResult.bytes(0)
            while end < scratch.count {
                result = try tls.read(into: UnsafeMutableRawBufferPointer(rebasing: scratch[end...]))
                guard case .bytes(let count) = result else { break }
                end += count
                guard tls.hasInput else {
                    result = .needsInput
                    break
                }
            }
            do throws(SessionError) {
                try takeApart(UnsafeMutableRawBufferPointer(rebasing: scratch[FrameHeader.size..<end]))
            } catch {
                shutDown(.misbehaved(reason: error.description), code: error.goAwayCode)
            }
            finishRun()
            countControlFrames()
            switch result {
            case .bytes: continue
            case .needsInput: return
            case .closed: return self.end(.lost(reason: "the peer closed the connection"))
            }
        }
    }

    /// No credit bounds frames without payload, and each costs work, answers, even another link's: an endless stream of them
    /// ends the session. Counted once a read, and the clock is asked only when there are many.
    private func countControlFrames() {
        let count = uncountedFrames
        uncountedFrames = 0
        guard !controlFrames.take(count, now: Int64(bitPattern: NIODeadline.now().uptimeNanoseconds)) else { return }
        shutDown(.misbehaved(reason: "too many control frames a second"), code: .protocolError)
    }

    private func takeApart(_ plaintext: UnsafeMutableRawBufferPointer) throws(SessionError) {
        var rest = plaintext[...]
        while phase == .running, !rest.isEmpty {
            if current != nil {
                rest = deliver(rest)
                continue
            }
            guard rest.count >= FrameHeader.size else {
                partialHeader.append(contentsOf: rest)
                return
            }
            let header: FrameHeader
            do {
                header = try FrameHeader(UnsafeRawBufferPointer(rebasing: rest))
            } catch {
                throw .frame(error)
            }
            rest = rest.dropFirst(FrameHeader.size)
            if header.payloadLength == 0 { uncountedFrames += 1 }
            perform(try session.receive(header))
        }
    }

    /// Hands on what is there of the current frame's payload, and returns what lies behind it.
    private func deliver(
        _ rest: Slice<UnsafeMutableRawBufferPointer>
    ) -> Slice<UnsafeMutableRawBufferPointer> {
        guard var frame = current else { return rest }
        let payload = UnsafeMutableRawBufferPointer(rebasing: rest.prefix(frame.remaining))
        frame.remaining -= payload.count
        current = frame.remaining > 0 ? frame : nil
        if let stream = frame.stream, !stream.isGone {
            if let peer = stream.splice?.peer {
                forward(payload, to: peer, from: stream)
            } else {
                finishRun()
                stream.delegate?.streamReceived(UnsafeRawBufferPointer(payload))
            }
            if frame.remaining == 0, frame.ending != nil { finished(stream) }
        }
        return rest.dropFirst(payload.count)
    }

    private func perform(_ action: ReceiveAction) {
        switch action {
        case .none:
            break
        case .stream(let event):
            perform(event)
        case .discard(let payload):
            current = CurrentFrame(stream: nil, remaining: payload, ending: nil)
        case .reset(let id, let error, let header, let payload):
            put(header)
            gone(id, reason: error.description)
            if payload > 0 { current = CurrentFrame(stream: nil, remaining: payload, ending: nil) }
        case .send(let header):
            put(header)
        case .pong(let value):
            receivedPong(value)
        case .goAway(let code):
            delegate?.muxGoingAway(code)
            if code != .normal { end(.lost(reason: "the peer ended the connection: \(code)")) }
        }
    }

    private func perform(_ event: StreamEvent) {
        if event.opened {
            let stream = MuxStream(id: event.id, mux: self)
            streams[event.id] = stream
            delegate?.muxOpened(stream)
        }
        if event.ending == .reset {
            gone(event.id, reason: "reset by the peer")
            if event.payload > 0 { current = CurrentFrame(stream: nil, remaining: event.payload, ending: nil) }
            return
        }
        let stream = streams[event.id]
        if event.credit > 0, let stream { receivedCredit(event.credit, on: stream) }
        if event.payload > 0 {
            current = CurrentFrame(stream: stream, remaining: event.payload, ending: event.ending)
        } else if event.ending == .finished, let stream {
            finished(stream)
        }
    }

    private func receivedCredit(_ count: Int, on stream: MuxStream) {
        guard stream.splice != nil else {
            if stream.pendingBytes > 0 { becameReady(stream) } else { joinLine(stream) }
            return
        }
        guard let granted = stream.splice?.credit(count), granted > 0 else { return }
        passBack(granted, of: stream)
    }

    /// What the credit would let the far side send comes out at this link: no more of it while the link is full.
    private func passBack(_ credit: Int, of stream: MuxStream) {
        if carrier?.isWritable == true {
            stream.splice?.peer.hop { $0.passOnCredit(credit) }
        } else {
            withheld[stream.id, default: 0] += credit
        }
    }

    /// Passes back what came before the stream was spliced: its peer may give credit at any time, with the opening too.
    func passBackEarly(_ stream: MuxStream, sent: Int) {
        let early = session.sendCredit(stream.id) + sent - Protocol.initialWindow
        if early > 0 { passBack(early, of: stream) }
    }

    private func finished(_ stream: MuxStream) {
        finishRun()
        stream.peerHasFinished = true
        stream.splice?.peer.hop { $0.finish() }
        stream.delegate?.streamFinished()
        forgetIfClosed(stream)
    }

    /// The session has let go of the stream already.
    private func gone(_ id: StreamID, reason: String) {
        finishRun()
        guard let stream = streams[id] else { return }
        forget(stream)
        abandon(stream, reason: reason)
    }

    func forgetIfClosed(_ stream: MuxStream) {
        guard !session.isOpen(stream.id) else { return }
        forget(stream)
        stream.detach()
    }

    // MARK: Splicing

    /// Sends `payload` on `peer`, from where it lies: the 12 bytes before it become its header there.
    private func forward(_ payload: UnsafeMutableRawBufferPointer, to peer: MuxStream, from stream: MuxStream) {
        switch stream.splice?.turn {
        case .awaitsAnswer: return breakOff(stream, reason: "data before the agent's answer")
        case .answers:
            stream.splice?.turn = .free
            peer.hop { $0.splice?.turn = .free }
        case .free, nil: break
        }
        if isBacklogDue(stream) {
            // The far link was not full when the credit came, and may be by now.
            let credit = stream.creditBacklog
            stream.creditBacklog = 0
            peer.hop { $0.mux?.passBack(credit, of: $0) }
        }
        guard peer.eventLoop === eventLoop else { return forwardAcross(payload, to: peer) }
        guard let target = peer.mux, let header = target.session.send(peer.id, count: payload.count) else {
            return breakOff(stream, reason: "data beyond the receiver's credit")
        }
        guard let base = payload.baseAddress else { return }
        let start = base - FrameHeader.size
        header.write(to: start)
        let count = FrameHeader.size + payload.count
        if let open = run, open.target === target, open.start + open.count == start {
            run?.count += count
        } else {
            finishRun()
            run = SplicedRun(target: target, start: start, count: count)
        }
    }

    /// The copy is the price of another event loop: this one's scratch memory is about to be written over.
    private func forwardAcross(_ payload: UnsafeMutableRawBufferPointer, to peer: MuxStream) {
        let copy = ByteBuffer(bytes: payload)
        peer.hop { peer in
            guard let target = peer.mux else { return }
            guard target.sendNow(copy, on: peer) else {
                return target.breakOff(peer, reason: "data beyond the receiver's credit")
            }
        }
    }

    /// Seals the spliced frames gathered so far for their link.
    private func finishRun() {
        guard let run else { return }
        self.run = nil
        run.target.put(run: UnsafeRawBufferPointer(start: run.start, count: run.count))
    }

    /// The carrier has room again: credit that was withheld goes on its way, and streams send.
    package func carrierWritable() {
        eventLoop.assertInEventLoop()
        guard phase == .running else { return }
        let due = withheld
        withheld = [:]
        for (id, count) in due { streams[id]?.splice?.peer.hop { $0.passOnCredit(count) } }
        if !quick.isEmpty || !ready.isEmpty || !line.isEmpty { becameDirty() }
    }

    private func failure(of error: TLSError) -> LinkFailure {
        switch error {
        case .peerRejected(let reason): .untrusted(reason: reason, peerKey: tls.peer?.fingerprint)
        // In TLS 1.3 a client hears of this only after its own handshake is done.
        case .alert("bad certificate"): .keyRefused(reason: "the peer does not accept this machine's key")
        case .alert(let alert) where phase == .running: .lost(reason: "the peer broke off: \(alert)")
        case .alert(let alert): .handshake(reason: "the peer broke off: \(alert)")
        case .handshakeFailed(let reason): .handshake(reason: reason)
        case .recordFailed(let reason): .misbehaved(reason: reason)
        case .misuse(let reason), .environment(let reason), .file(_, let reason): .handshake(reason: reason)
        case .permissions(let path, _): .handshake(reason: path)
        }
    }
}

import Wire

/// Control messages, in pieces of any size: cut up or whole they are the same messages, and what a type takes from one
/// it takes again from what it makes of it.
func messages(_ input: Input) {
    var input = input
    let pieceSize = 1 + Int(input.byte())
    let whole = gathered(input.rest, pieceSize: input.rest.count + 1)
    let pieces = gathered(input.rest, pieceSize: pieceSize)
    expect(whole.messages == pieces.messages && whole.error == pieces.error, "pieces of \(pieceSize) make a difference")
    for json in whole.messages + [Array(input.rest)] { judge(json) }
}

private func gathered(_ bytes: UnsafeRawBufferPointer, pieceSize: Int) -> (messages: [[UInt8]], error: MessageError?) {
    var buffer = MessageBuffer()
    var messages: [[UInt8]] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        var piece = rest.prefix(pieceSize)
        rest = rest.dropFirst(pieceSize)
        while !piece.isEmpty {
            do throws(MessageError) {
                let (consumed, json) = try buffer.take(UnsafeRawBufferPointer(rebasing: piece))
                expect((0...piece.count).contains(consumed), "\(consumed) of \(piece.count) bytes taken")
                expect(consumed > 0 || json != nil, "no progress")
                piece = piece.dropFirst(consumed)
                if let json {
                    expect(json.count <= Protocol.largestMessage && buffer.isEmpty, "a message of \(json.count)")
                    messages.append(json)
                }
            } catch {
                return (messages, error)
            }
        }
    }
    return (messages, nil)
}

private func judge(_ json: [UInt8]) {
    isStable(Hello.self, json)
    isStable(Answer<Welcome>.self, json)
    isStable(Notice.self, json)
    isStable(TunnelRequest.self, json)
    isStable(TunnelOffer.self, json)
    isStable(Answer<Accepted>.self, json)
    isStable(SessionHello.self, json)
    isStable(Answer<SessionWelcome>.self, json)
    isStable(ForwardRequest.self, json)
}

private func isStable<Body: Codable>(_ type: Body.Type, _ json: [UInt8]) {
    guard let value = try? Message.decode(type, from: json), let once = try? Message.encode(value) else { return }
    guard let again = try? Message.decode(type, from: Array(once.dropFirst(2))) else {
        fail("\(type) cannot read itself")
    }
    expect((try? Message.encode(again)) == once, "\(type) is not what it was")
}

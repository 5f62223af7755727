import Wire

/// Frames out of bytes as they come.
struct FrameReader {
    private var partial: [UInt8] = []
    private var current: FrameHeader?
    private var remaining = 0
    private var hasFailed = false

    /// Calls `body` for each header, and for each piece of payload. False when there was something that is no frame.
    mutating func read(_ bytes: [UInt8], _ body: (FrameHeader, ArraySlice<UInt8>?) -> Void) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty, !hasFailed {
            if let frame = current, remaining > 0 {
                let piece = rest.prefix(remaining)
                remaining -= piece.count
                rest = rest.dropFirst(piece.count)
                body(frame, piece)
                continue
            }
            let piece = rest.prefix(FrameHeader.size - partial.count)
            partial += piece
            rest = rest.dropFirst(piece.count)
            guard partial.count == FrameHeader.size else { break }
            guard let header = partial.withUnsafeBytes({ try? FrameHeader($0) }) else {
                hasFailed = true
                break
            }
            partial = []
            body(header, nil)
            current = header
            remaining = header.kind == .data ? Int(header.length) : 0
        }
        return !hasFailed
    }
}

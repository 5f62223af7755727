#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Control messages and stream headers: a 2-byte big-endian length, then that many bytes of JSON (PROTOCOL §4.1).
package enum Message {
    /// The message as it goes on the wire. Throws `.tooLarge` beyond `Protocol.largestMessage`.
    package static func encode(_ value: some Encodable) throws(MessageError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json: Data
        do {
            json = try encoder.encode(value)
        } catch {
            throw .malformed("\(type(of: value)) cannot be encoded")
        }
        guard json.count <= Protocol.largestMessage else { throw .tooLarge(json.count) }
        return [UInt8(json.count >> 8), UInt8(json.count & 0xff)] + json
    }

    /// Decodes the JSON that `MessageBuffer` gathered.
    package static func decode<Value: Decodable>(_ type: Value.Type, from json: [UInt8]) throws(MessageError) -> Value {
        // The decoder would guess UTF-16 and UTF-32, too: both have zero bytes, or begin with a mark.
        guard json.first == UInt8(ascii: "{"), !json.contains(0) else {
            throw .malformed("\(type) is not a JSON object in UTF-8")
        }
        guard !hasRepeatedNames(json) else { throw .malformed("\(type) has a name twice, or one with escapes") }
        do {
            return try JSONDecoder().decode(type, from: Data(json))
        } catch let error as DecodingError {
            throw .malformed(Message.reason(of: error, in: "\(type)"))
        } catch {
            throw .malformed("not a \(type)")
        }
    }

    private static func reason(of error: DecodingError, in type: String) -> String {
        switch error {
        case .keyNotFound(let key, _): "\(type) lacks \(key.stringValue)"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            if let key = context.codingPath.last {
                "\(type) has a bad \(key.stringValue)"
            } else {
                "\(type) cannot be read"
            }
        @unknown default: "not a \(type)"
        }
    }
}

/// A message that its receiver cannot take.
package enum MessageError: Error, Equatable, Sendable, CustomStringConvertible {
    case tooLarge(Int)
    case malformed(String)

    package var description: String {
        switch self {
        case .tooLarge(let size): "message of \(size) bytes, the limit is \(Protocol.largestMessage)"
        case .malformed(let reason): "malformed message: \(reason)"
        }
    }
}

/// Gathers one length-prefixed message from a stream that delivers it in pieces.
package struct MessageBuffer: Sendable {
    private var bytes: [UInt8] = []

    /// An empty buffer.
    package init() {}

    /// Whether part of a message has come.
    package var isEmpty: Bool { bytes.isEmpty }

    /// Takes what belongs to the message from the front of `input`; the rest, behind `consumed`, is the caller's.
    ///
    /// `json` is set once the message is whole, and the buffer is empty again. Throws `.tooLarge` from the prefix alone.
    package mutating func take(
        _ input: UnsafeRawBufferPointer
    ) throws(MessageError) -> (consumed: Int, json: [UInt8]?) {
        var consumed = 0
        while bytes.count < 2 {
            guard consumed < input.count else { return (consumed, nil) }
            bytes.append(input[consumed])
            consumed += 1
        }
        let length = Int(bytes[0]) << 8 | Int(bytes[1])
        guard length <= Protocol.largestMessage else { throw .tooLarge(length) }
        let wanted = min(2 + length - bytes.count, input.count - consumed)
        bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[consumed..<consumed + wanted]))
        consumed += wanted
        guard bytes.count == 2 + length else { return (consumed, nil) }
        defer { bytes.removeAll(keepingCapacity: false) }
        return (consumed, Array(bytes.dropFirst(2)))
    }
}

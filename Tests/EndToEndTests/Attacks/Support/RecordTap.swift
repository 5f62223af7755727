import Synchronization

/// Which way bytes go through a tunnel.
enum Direction: CaseIterable, Sendable {
    case toAgent, toClient
}

/// What a relay does to the TLS records of a tunnel (RFC 8446 §5.1: five bytes of header, the last two the length). One
/// of the same kind is done at most once.
enum Tampering: CaseIterable, Sendable {
    case flipsABit, leavesOneOut, cutsOneShort, replaysOne, swapsTwo, injectsGarbage, injectsAnAlert, changesTheType

    /// What to send in place of the record: nothing yet, if the next is needed first.
    func apply(to record: [UInt8], held: inout [UInt8]?) -> [[UInt8]] {
        var changed = record
        switch self {
        case .flipsABit:
            changed[record.count / 2] ^= 1
            return [changed]
        case .leavesOneOut: return []
        case .cutsOneShort:
            changed.removeLast()
            let length = UInt16(changed.count - 5)
            changed.replaceSubrange(3..<5, with: [UInt8(length >> 8), UInt8(length & 0xff)])
            return [changed]
        case .replaysOne: return [record, record]
        case .swapsTwo:
            guard let first = held else {
                held = record
                return []
            }
            held = nil
            return [record, first]
        case .injectsGarbage: return [[23, 3, 3, 0, 40] + (0..<40).map { UInt8($0) }, record]
        // close_notify, as nobody may say it in the clear any more.
        case .injectsAnAlert: return [[21, 3, 3, 0, 2, 1, 0], record]
        case .changesTheType:
            changed[0] = 22
            return [changed]
        }
    }
}

/// One direction of a tunnel at the relay: takes the answer out of the way, cuts what follows into records, and tampers.
final class RecordTap: Sendable {
    private struct State {
        var isBehindTheAnswer: Bool
        var rest: [UInt8] = []
        var tampering: Tampering?
        var held: [UInt8]?
        var edit: (@Sendable ([UInt8]) -> [UInt8])?
        var seen: [UInt8] = []
        var diversion: (@Sendable ([UInt8]) -> Void)?
    }

    private let state: Mutex<State>

    init(_ direction: Direction, edit: (@Sendable ([UInt8]) -> [UInt8])? = nil) {
        state = Mutex(State(isBehindTheAnswer: direction == .toAgent, edit: edit))
    }

    /// From now on: the next record of user data.
    func arm(_ tampering: Tampering) { state.withLock { $0.tampering = tampering } }

    /// From now on: the other way for all records.
    func divert(_ diversion: @escaping @Sendable ([UInt8]) -> Void) { state.withLock { $0.diversion = diversion } }

    /// Whether what was armed has been done, or begun.
    var hasActed: Bool { state.withLock { $0.tampering == nil || $0.held != nil } }

    /// All that has come by.
    var seen: [UInt8] { state.withLock { $0.seen } }

    /// What to pass on of what has come.
    func pass(_ bytes: [UInt8]) -> [UInt8] {
        state.withLock { state in
            state.seen += bytes
            state.rest += bytes
            var output: [UInt8] = []
            if !state.isBehindTheAnswer {
                guard state.rest.count >= 2 else { return [] }
                let size = 2 + Int(state.rest[0]) << 8 + Int(state.rest[1])
                guard state.rest.count >= size else { return [] }
                output += state.rest.prefix(size)
                state.rest.removeFirst(size)
                state.isBehindTheAnswer = true
            }
            while state.rest.count >= 5 {
                let size = 5 + Int(state.rest[3]) << 8 + Int(state.rest[4])
                guard state.rest.count >= size else { break }
                let record = Array(state.rest.prefix(size))
                state.rest.removeFirst(size)
                output += Self.treat(record, &state)
            }
            return output
        }
    }

    private static func treat(_ record: [UInt8], _ state: inout State) -> [UInt8] {
        if let diversion = state.diversion {
            diversion(record)
            return []
        }
        let record = state.edit?(record) ?? record
        guard let tampering = state.tampering, record[0] == 23 else { return record }
        let records = tampering.apply(to: record, held: &state.held)
        if state.held == nil { state.tampering = nil }
        return Array(records.joined())
    }
}

import Testing
import Wire

@testable import Mux

/// Every happening in every state. A row reads: what happens, then for each state what comes of it and where it leaves
/// the stream (nil: where it was).
@Suite("A stream's transitions")
struct TransitionTests {
    private enum Result: Sendable {
        /// The owner hears of 100 bytes of payload.
        case payload
        case payloadThenFinished
        /// The owner hears of this much credit.
        case credit(Int)
        case event
        case finished
        case wasReset
        case wasResetWithPayload
        case opens
        case drop(Int)
        case ignored
        case resets(StreamError, discard: Int)
        case ends(@Sendable (StreamID) -> SessionError)
        case sends(FrameHeader.Kind, FrameHeader.Flags, UInt32)
        case nothing

        func outcome(_ id: StreamID) -> Outcome {
            switch self {
            case .payload: .does(.stream(StreamEvent(id: id, payload: 100)))
            case .payloadThenFinished: .does(.stream(StreamEvent(id: id, payload: 100, ending: .finished)))
            case .credit(let count): .does(.stream(StreamEvent(id: id, credit: count)))
            case .event: .does(.stream(StreamEvent(id: id)))
            case .finished: .does(.stream(StreamEvent(id: id, ending: .finished)))
            case .wasReset: .does(.stream(StreamEvent(id: id, ending: .reset)))
            case .wasResetWithPayload: .does(.stream(StreamEvent(id: id, payload: 100, ending: .reset)))
            case .opens: .does(.stream(StreamEvent(id: id, opened: true)))
            case .drop(let count): .does(.discard(payload: count))
            case .ignored: .does(.none)
            case .resets(let error, let count):
                .does(
                    .reset(
                        id, error, send: FrameHeader(.windowUpdate, flags: .rst, streamID: id, length: 0),
                        discard: count))
            case .ends(let error): .ends(error(id))
            case .sends(let kind, let flags, let length):
                .sends(FrameHeader(kind, flags: flags, streamID: id, length: length))
            case .nothing: .nothing
            }
        }
    }

    private typealias Cell = (Result, Standing?)

    /// The states in `Scene`'s order: awaitingAck, ours, unaccepted, theirs, localFinished, remoteFinished, gone, neverOpened.
    private static let table: [(Happening, [Cell])] = [
        (.data, live((.payload, nil)) + [(.payload, nil), (afterFinish(100), .absent), (.drop(100), nil), never]),
        (
            .dataBeyondWindow,
            live((beyond, .absent)) + [
                (beyond, .absent), (afterFinish(262_145), .absent), (.drop(262_145), nil), never,
            ]
        ),
        (.credit, live((.credit(7), nil)) + [(.credit(7), nil), (.credit(7), nil), (.ignored, nil), never]),
        (
            .creditOverflow,
            live((.ends(SessionError.creditOverflow), nil)) + [
                (.ends(SessionError.creditOverflow), nil), (.ends(SessionError.creditOverflow), nil), (.ignored, nil),
                never,
            ]
        ),
        (
            .ack,
            [
                (.event, .open), (.event, nil), (.event, nil), (.event, nil), (.event, nil), (.event, nil),
                (.ignored, nil),
                never,
            ]
        ),
        (
            .fin,
            live((.finished, .remoteFinished)) + [(.finished, .absent), (.finished, nil), (.ignored, nil), never]
        ),
        (
            .dataWithFin,
            live((.payloadThenFinished, .remoteFinished)) + [
                (.payloadThenFinished, .absent), (afterFinish(100), .absent), (.drop(100), nil), never,
            ]
        ),
        (.rst, live((.wasReset, .absent)) + [(.wasReset, .absent), (.wasReset, .absent), (.ignored, nil), never]),
        (
            .dataWithRst,
            live((.wasResetWithPayload, .absent)) + [
                (.wasResetWithPayload, .absent), (.wasResetWithPayload, .absent), (.drop(100), nil), never,
            ]
        ),
        (
            .syn,
            [
                (.ends(SessionError.badStreamID), nil), (.ends(SessionError.badStreamID), nil), reused, reused, reused,
                reused, reused, (.opens, .unaccepted),
            ]
        ),
        (.send, live(sends(.data, [], 100)) + [none, sends(.data, [], 100), none, none]),
        (.sendBeyondCredit, Array(repeating: none, count: 8)),
        (
            .finish,
            live((.sends(.windowUpdate, .fin, 0), .localFinished)) + [
                none, (.sends(.windowUpdate, .fin, 0), .absent), none, none,
            ]
        ),
        (
            .reset,
            Array(repeating: (.sends(.windowUpdate, .rst, 0), .absent), count: 6) + [none, none]
        ),
        (
            .accept,
            [none, none, (.sends(.windowUpdate, .ack, 0), .open), none, none, none, none, none]
        ),
        (.consumeLittle, Array(repeating: none, count: 8)),
        (
            .consumeMuch,
            Array(repeating: sends(.windowUpdate, [], 131_072), count: 6) + [none, none]
        ),
        (.grant, Array(repeating: sends(.windowUpdate, [], 5), count: 6) + [none, none]),
    ]

    @Test("the table has every happening and every state")
    func complete() {
        #expect(Self.table.map(\.0) == Happening.allCases)
        for (_, cells) in Self.table { #expect(cells.count == Scene.allCases.count) }
    }

    @Test("each happening does in each state what the table says", arguments: Happening.allCases)
    func cell(happening: Happening) throws {
        let row = try #require(Self.table.first { $0.0 == happening }).1
        for (scene, (result, standing)) in zip(Scene.allCases, row) {
            var session = try scene.session()
            let before = Standing(scene.id, in: session)
            let outcome = happening.happens(to: scene.id, in: &session)
            #expect(outcome == result.outcome(scene.id), "\(happening) in \(scene)")
            #expect(Standing(scene.id, in: session) == standing ?? before, "after \(happening) in \(scene)")
            #expect(session.unaccepted == (session.streams[scene.id]?.acknowledgement == .owed ? 1 : 0))
            #expect(session.isOpen(scene.id) == (session.streamCount == 1))
        }
    }

    // MARK: Cells that recur

    private static let none: Cell = (.nothing, nil)
    private static let never: Cell = (.ends(SessionError.neverOpened), nil)
    private static let reused: Cell = (.ends(SessionError.reusedStreamID), nil)
    private static let beyond = Result.resets(.dataBeyondWindow, discard: 262_145)

    private static func afterFinish(_ count: Int) -> Result { .resets(.dataAfterFinish, discard: count) }

    private static func sends(_ kind: FrameHeader.Kind, _ flags: FrameHeader.Flags, _ length: UInt32) -> Cell {
        (.sends(kind, flags, length), nil)
    }

    /// The four states in which both halves are open.
    private static func live(_ cell: Cell) -> [Cell] { Array(repeating: cell, count: 4) }
}

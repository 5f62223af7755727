import NIOCore
import NIOPosix
import Testing
import Wire

@testable import Transport

/// When the owners of streams are told to write. Two muxes over carriers in memory, the one at the near end with room as
/// the test rules; and again with a session over a stream of theirs.
@Suite(.timeLimit(.minutes(1))) struct RoomTests {
    @Test(arguments: [false, true])
    func `owners write in a read cycle no more than makes a batch full`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try scene.sources("a", "b", "c", "d")
            try scene.deliverAll { sources.allSatisfy { $0.written > 16 * Source.batch } }
            #expect(scene.mostInACycle <= 2 * Source.batch)
        }
    }

    @Test(arguments: [false, true])
    func `owners write one after the other`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            try scene.onLoop { _ in scene.narrow() }
            let sources = try scene.sources("a", "b", "c", "d")
            try scene.deliverAll { sources.allSatisfy { $0.written > 16 * Source.batch } }
            // A turn is worth 128 to 256 KiB, as credit comes.
            #expect(sources.allSatisfy { $0.written < 3 * 16 * Source.batch })
        }
    }

    @Test(arguments: [false, true])
    func `without room nobody is told to write, and a little passes`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            scene.nearCarrier.room = 0
            let source = try scene.sources("a")[0]
            try scene.deliverAll()
            #expect(source.written == 0 && scene.received == 0)

            try scene.onLoop { _ in source.stream.write(ByteBuffer(string: "little")) }
            try scene.deliverAll()
            #expect(scene.received == 6)

            try scene.onLoop { _ in scene.makeRoom() }
            try scene.deliverAll { source.written > 0 }
        }
    }

    @Test(arguments: [false, true])
    func `a stream whose peer takes nothing is not asked for more, until it does`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            scene.consumes = false
            let sources = try scene.sources("a", "b")
            try scene.deliverAll()
            // What the initial window lets pass.
            #expect(sources.map(\.written) == [Protocol.initialWindow, Protocol.initialWindow])
            #expect(scene.received == 2 * Protocol.initialWindow)

            scene.consumes = true
            try scene.onLoop { _ in scene.sinks.forEach { $0.consume() } }
            try scene.deliverAll { sources.allSatisfy { $0.written > 2 * Source.batch } }
        }
    }

    @Test(arguments: [false, true])
    func `who is told and writes nothing does not keep the others waiting`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try scene.sources("silent", "a", "silent too", "b")
            try scene.deliverAll { sources[1].written > 4 * Source.batch && sources[3].written > 4 * Source.batch }
            #expect(sources[0].written == 0 && sources[2].written == 0)
        }
    }

    /// Much that is written unasked, or a little on each of many streams.
    @Test(arguments: [
        (false, 3, 100_000), (true, 3, 100_000), (false, 20, 16_384), (true, 20, 16_384), (false, 10, 16_000),
        (true, 10, 16_000),
    ])
    func `streams that always have something to send do not keep those in line waiting`(
        inSession: Bool, count: Int, bytes: Int
    ) throws {
        try withScene(inSession) { scene in
            try scene.onLoop { _ in scene.narrow() }
            let sources = try scene.sources("a", "b")
            let others = try (0..<count).flatMap { try scene.sources("silent \($0)") }
            for _ in 0..<200 {
                try scene.onLoop { _ in
                    for other in others { other.stream.write(ByteBuffer(repeating: 1, count: bytes)) }
                }
                _ = try scene.deliver()
            }
            #expect(sources.allSatisfy { $0.written > 8 * Source.batch })
        }
    }

    @Test(arguments: [false, true])
    func `turns are short while another stream has little to send, and for a while after`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try scene.sources("much", "silent")
            let (much, other) = (sources[0], sources[1])
            try scene.deliverAll { much.written > 8 * Source.batch }
            #expect(much.longestTurn > TurnLength.short)

            try scene.onLoop { _ in
                other.stream.write(ByteBuffer(string: "little"))
                much.forgetTurns()
            }
            let short = much.written + TurnLength.memory - 8 * Source.batch
            try scene.deliverAll { much.written > short }
            #expect(much.longestTurn <= TurnLength.short)
            try scene.deliverAll { much.written > short + 32 * Source.batch }
            #expect(much.longestTurn > TurnLength.short)
        }
    }

    @Test(arguments: [false, true])
    func `turns are long among streams with much, whose last bytes may be few`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try scene.sources("a", "b")
            try scene.deliverAll { sources.allSatisfy { $0.written > 8 * Source.batch } }
            for _ in 0..<4 {
                try scene.onLoop { _ in
                    sources[0].stream.write(ByteBuffer(string: "little"))
                    sources.forEach { $0.forgetTurns() }
                }
                let enough = sources.map { $0.written + 2 * Source.batch }
                try scene.deliverAll { zip(sources, enough).allSatisfy { $0.written > $1 } }
                #expect(sources.allSatisfy { $0.longestTurn > TurnLength.short })
            }
        }
    }

    /// As forwards do, which read a little where there is less room. What waits for its turn waits in memory.
    @Test(arguments: [false, true])
    func `owners who write more than there is room for are not told all at once`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try (0..<20).flatMap { try scene.sources("greedy \($0)") }
            try scene.onLoop { _ in scene.shortenTurns() }
            for _ in 0..<100 {
                _ = try scene.deliver()
                #expect(sources.count { $0.waitsForTurn } <= 2)
            }
            #expect(sources.allSatisfy { $0.written > 0 })
        }
    }

    @Test(arguments: [false, true])
    func `what little an owner writes counts at once`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            let sources = try (0..<100).flatMap { try scene.sources("modest \($0)") }
            try scene.deliverAll { sources.allSatisfy { $0.written > 100_000 } }
            #expect(sources.allSatisfy { $0.written > 100_000 })
            #expect(scene.mostInACycle <= 2 * Source.batch)
        }
    }

    @Test(arguments: [false, true])
    func `where there is little room in all, somebody is told all the same`(inSession: Bool) throws {
        try withScene(inSession) { scene in
            scene.nearCarrier.room = 1000
            let sources = try scene.sources("greedy", "greedy too")
            try scene.deliverAll { sources.contains { $0.written > 0 } }
            #expect(sources.contains { $0.written > 0 })
        }
    }

    private func withScene(_ inSession: Bool, _ body: (RoomScene) throws -> Void) throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let scene = RoomScene(on: group.next())
        do {
            try scene.begin(inSession: inSession)
            try body(scene)
        } catch {
            try group.syncShutdownGracefully()
            throw error
        }
        try group.syncShutdownGracefully()
    }
}

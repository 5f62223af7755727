import CPoller
import NIOCore
import NIOPosix

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// What a `SocketPoller` tells its members.
struct Readiness: OptionSet {
    let rawValue: UInt32

    /// There is input, or its end.
    static let input = Readiness(rawValue: UInt32(ADIT_POLLER_INPUT))
    /// There is room for output.
    static let output = Readiness(rawValue: UInt32(ADIT_POLLER_OUTPUT))
    /// From now on a read that comes back short may have left something: the end of the peer's half, or what lies behind
    /// urgent data.
    static let piecemeal = Readiness(rawValue: UInt32(ADIT_POLLER_PIECEMEAL))
    /// The connection is broken.
    static let broken = Readiness(rawValue: UInt32(ADIT_POLLER_BROKEN))
}

/// Who owns a socket that a `SocketPoller` watches. All calls come on the poller's event loop.
protocol Polled: AnyObject {
    /// What has become possible since it was told the last time.
    func ready(_ what: Readiness)
    /// The event loop ends: close the socket.
    func pollerEnded()
}

/// The sockets of an event loop's forwards, and the listener of a connect. They are no NIO channels: a channel costs a short
/// connection more than all else together (Docs/PERFORMANCE.md). NIO sees one descriptor, the bell, that stands for all of
/// them.
///
/// A socket's readiness is told once, when it comes about. Whoever leaves some of it unused remembers that itself.
///
/// Loop-bound.
final class SocketPoller {
    /// A member's place; the number of its socket is used again, the turn is not.
    struct Membership {
        fileprivate let socket: CInt
        fileprivate let turn: UInt32
        fileprivate var id: UInt64 { UInt64(turn) << 32 | UInt64(UInt32(bitPattern: socket)) }
    }

    private struct Place {
        var turn: UInt32 = 0
        var owner: (any Polled)?
    }

    /// Events taken at once, and how often before the event loop's channels have their turn.
    private static let mostEvents = 64
    private static let mostTakes = 4
    /// Before what the kernel has refused is asked for again.
    private static let pause = TimeAmount.milliseconds(10)

    private let eventLoop: any EventLoop
    private let poller: OpaquePointer
    /// By the number of the socket.
    private var places: [Place] = []
    /// What is due in the next turn.
    private var due: [() -> Void] = []
    /// The kernel has refused to ring the bell, and is asked again in a moment.
    private var awaitsArming = false
    /// Its event loop has ended, or NIO does not watch the bell.
    private(set) var hasEnded = false

    /// Call it on `eventLoop`. Throws `IOError`.
    init(on eventLoop: any EventLoop, byThread: Bool = false) throws {
        self.eventLoop = eventLoop
        var error: CInt = 0
        guard let poller = adit_poller_make(byThread, &error) else {
            throw IOError(errnoCode: error, reason: "making a set of sockets")
        }
        self.poller = poller
        let bell = NIOLoopBound(Bell(self), eventLoop: eventLoop)  // its initializer runs there
        NIOPipeBootstrap(group: eventLoop)
            .channelOption(.maxMessagesPerRead, value: 1)
            .channelOption(.recvAllocator, value: FixedSizeRecvByteBufferAllocator(capacity: 8))
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(bell.value)
                }
            }
            .takingOwnershipOfDescriptor(input: adit_poller_bell(poller))
            .assumeIsolated().whenFailure { _ in self.end() }  // the event loop is ending, and NIO has closed the bell
    }

    deinit {
        adit_poller_free(poller)
    }

    /// Watches `socket`, and holds `owner` until it is removed. Throws `IOError`.
    func add(_ socket: CInt, owner: any Polled) throws -> Membership {
        eventLoop.assertInEventLoop()
        let index = Int(socket)
        guard !hasEnded else { throw IOError(errnoCode: ECANCELED, reason: "watching a socket") }
        if index >= places.count { places += Array(repeating: Place(), count: index + 1 - places.count) }
        places[index].turn &+= 1
        let membership = Membership(socket: socket, turn: places[index].turn)
        let error = adit_poller_add(poller, socket, membership.id)
        guard error == 0 else { throw IOError(errnoCode: error, reason: "watching a socket") }
        places[index].owner = owner
        return membership
    }

    /// Has that of `input` and `output` be told which `what` names, now and when more comes about; the rest need not be, but
    /// that the connection is broken is told in any case. At first it is input.
    func watch(_ membership: Membership, for what: Readiness) {
        // A socket that is in the set can be asked for more.
        _ = adit_poller_watch(poller, membership.socket, membership.id, what.rawValue)
    }

    /// Forgets a socket, which its owner closes in the same turn.
    func remove(_ membership: Membership) {
        places[Int(membership.socket)].owner = nil
    }

    /// Runs `body` in the next turn, after what there is to tell then.
    func inNextTurn(_ body: @escaping () -> Void) {
        due.append(body)
        if due.count == 1 { adit_poller_ring(poller) }
    }

    /// The bell was read, and brought this.
    fileprivate func heard(_ count: UInt64) {
        adit_poller_heard(poller, count)
    }

    private func owner(of id: UInt64) -> (any Polled)? {
        let place = places[Int(UInt32(truncatingIfNeeded: id))]
        return place.turn == UInt32(truncatingIfNeeded: id >> 32) ? place.owner : nil
    }

    /// Tells all that there is to tell; the bell's part, once it has rung.
    func takeAll() {
        let due = takeDue()
        withUnsafeTemporaryAllocation(of: adit_poller_event.self, capacity: SocketPoller.mostEvents) { events in
            for _ in 0..<SocketPoller.mostTakes {
                let count = Int(adit_poller_take(poller, events.baseAddress, CInt(SocketPoller.mostEvents)))
                for event in events[..<count] { owner(of: event.id)?.ready(Readiness(rawValue: event.what)) }
                guard count == SocketPoller.mostEvents else { break }
            }
        }
        for body in due { body() }
        // Behind the flush of what they all wrote, which does not have to wait for it.
        eventLoop.assumeIsolated().execute { self.arm() }
    }

    private func takeDue() -> [() -> Void] {
        defer { due = [] }
        return due
    }

    fileprivate func arm() {
        guard adit_poller_arm(poller) != 0, !hasEnded, !awaitsArming else { return }
        // The kernel is short of memory.
        awaitsArming = true
        eventLoop.assumeIsolated().scheduleTask(in: SocketPoller.pause) {
            self.awaitsArming = false
            self.takeAll()
        }
    }

    fileprivate func end() {
        hasEnded = true
        for place in places { place.owner?.pollerEnded() }
        for body in takeDue() { body() }
    }
}

/// Hears that there is something to take.
private final class Bell: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let poller: SocketPoller

    init(_ poller: SocketPoller) {
        self.poller = poller
    }

    func channelActive(context: ChannelHandlerContext) {
        poller.arm()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bytes = unwrapInboundIn(data)
        poller.heard(bytes.getInteger(at: bytes.readerIndex, endianness: .host) ?? 0)
        poller.takeAll()
    }

    func channelInactive(context: ChannelHandlerContext) {
        poller.end()
    }
}

import Wire

/// What the peer may send on one stream, and what of it we owe back. Counted in payload bytes of data frames.
///
/// Between a ping and its answer (one round trip) the bytes that were *consumed* are counted. A stream that consumed half
/// its window or more in one round trip may be held back by it, so the window doubles. A slow reader never gets there,
/// however much is sent to it; and a slow link does not either, because the round trips that its queue stretches do not
/// count (`RoundTrips`).
struct ReceiveWindow {
    /// What the peer may have in flight at most.
    private(set) var size = Protocol.initialWindow
    /// What it may still send now.
    private(set) var remaining = Protocol.initialWindow
    /// Consumed, and not given back yet.
    private(set) var owed = 0
    private var epoch: UInt32 = 0
    private var consumedInEpoch = 0

    /// Debits received data. False when the peer sent more than it may.
    mutating func take(_ count: Int) -> Bool {
        guard count <= remaining else { return false }
        remaining -= count
        return true
    }

    mutating func consumed(_ count: Int, during measured: UInt32?) {
        owed += count
        guard let measured else { return }
        if epoch != measured {
            epoch = measured
            consumedInEpoch = 0
        }
        consumedInEpoch += count
    }

    /// Whether the round trip `finished`, the last one measured, shows that this window holds the sender back. True once.
    mutating func wantsToGrow(after finished: UInt32) -> Bool {
        guard epoch == finished, epoch != 0 else { return false }
        epoch = 0
        return consumedInEpoch * 2 >= size
    }

    /// Makes the window larger; the added part goes out with the next credit.
    mutating func grow(by count: Int) {
        size += count
        owed += count
    }

    /// Credit is worth a frame once half the window is owed.
    var isDue: Bool { owed * 2 >= size }

    /// Everything owed, which is the peer's from now on.
    mutating func giveBack() -> Int {
        defer { owed = 0 }
        remaining += owed
        return owed
    }

    /// Credit that comes from beyond (a spliced stream): passed on as it is, whatever the size.
    mutating func grant(_ count: Int) {
        remaining += count
    }
}

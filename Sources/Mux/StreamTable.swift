public import Wire

/// A value for each stream of a session, found by the stream's ID.
///
/// Every frame asks for its stream several times over, and the keyed hash of a `Dictionary` takes longer than all else
/// that is done for a small frame. Here two multiplications, by a secret number and by a known one, tell an ID's place, or
/// the next behind it that is free. At most five eighths are taken.
///
/// A peer, who chooses IDs, must not learn which of them meet: each session has a secret of its own, and nothing that the
/// table tells depends on it.
///
/// It is `public` and inlinable because only then is it specialized for another module's values; the general form takes
/// longer than a `Dictionary`.
public struct StreamTable<Value: Sendable>: Sendable {
    @usableFromInline
    struct Place: Sendable {
        @usableFromInline var id = StreamID(0)
        /// Nil where it is free.
        @usableFromInline var value: Value?

        @inlinable init() {}
    }

    /// For one stream, which is all that an idle link has. A table that has had more keeps twice as many at least.
    @inlinable static var fewest: Int { 2 }

    /// The secret, which is odd.
    @usableFromInline let factor: UInt64
    /// None, or a power of two of them.
    @usableFromInline var places: [Place] = []
    @usableFromInline var taken = 0

    /// A table without streams, which takes no memory beyond itself. `secret` is any number that no peer can guess.
    @inlinable public init(secret: UInt64) {
        factor = secret | 1
    }

    /// Streams that have a value.
    @inlinable public var count: Int { taken }

    /// The value of a stream; set to nil to remove it.
    @inlinable public subscript(id: StreamID) -> Value? {
        get {
            guard let place = place(of: id) else { return nil }
            return places[place].value
        }
        set {
            if let newValue { insert(newValue, for: id) } else { removeValue(of: id) }
        }
    }

    /// Where the value of a stream is, until another is put in or removed. Nil if it has none.
    @inlinable
    func place(of id: StreamID) -> Int? {
        guard !places.isEmpty else { return nil }
        var place = home(of: id)
        while places[place].value != nil {
            if places[place].id.rawValue == id.rawValue { return place }
            place = next(place)
        }
        return nil
    }

    /// What is at a place that `place(of:)` has told.
    @inlinable
    func value(at place: Int) -> Value? { places[place].value }

    @inlinable
    mutating func replace(at place: Int, by value: Value) {
        assert(places[place].value != nil)
        places[place].value = value
    }

    /// The values of all streams, in the order of their IDs.
    @inlinable public var values: [Value] {
        places.filter { $0.value != nil }.sorted { $0.id < $1.id }.compactMap(\.value)
    }

    @inlinable
    mutating func insert(_ value: Value, for id: StreamID) {
        if let place = place(of: id) { return replace(at: place, by: value) }
        if (count + 1) * 8 > places.count * 5 { resize(to: max(places.count * 2, StreamTable.fewest)) }
        put(value, for: id)
        taken += 1
    }

    /// Removes a stream, and returns what it had.
    @inlinable
    @discardableResult
    public mutating func removeValue(of id: StreamID) -> Value? {
        guard let place = place(of: id) else { return nil }
        let value = places[place].value
        close(place)
        taken -= 1
        if places.count > 2 * StreamTable.fewest, count * 8 < places.count { resize(to: places.count / 2) }
        return value
    }

    /// Removes all streams.
    @inlinable public mutating func removeAll() {
        places = []
        taken = 0
    }

    /// Moves up those behind `gap` whose search would end there.
    @inlinable
    mutating func close(_ gap: Int) {
        var gap = gap
        var place = next(gap)
        while places[place].value != nil {
            let fromHome = (place - home(of: places[place].id)) & (places.count - 1)
            if fromHome >= (place - gap) & (places.count - 1) {
                places[gap] = places[place]
                gap = place
            }
            place = next(place)
        }
        places[gap] = Place()
    }

    @inlinable
    mutating func resize(to size: Int) {
        let before = places
        places = Array(repeating: Place(), count: size)
        for place in before {
            if let value = place.value { put(value, for: place.id) }
        }
    }

    @inlinable
    mutating func put(_ value: Value, for id: StreamID) {
        var place = home(of: id)
        while places[place].value != nil { place = next(place) }
        places[place].value = value
        places[place].id = id
    }

    @inlinable
    func home(of id: StreamID) -> Int {
        let product = UInt64(id.rawValue) &* factor
        let mixed = (product ^ product >> 32) &* 0x9e37_79b9_7f4a_7c15
        return Int(truncatingIfNeeded: mixed >> UInt64(64 - places.count.trailingZeroBitCount))
    }

    @inlinable
    func next(_ place: Int) -> Int { (place + 1) & (places.count - 1) }
}

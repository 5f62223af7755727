extension Dictionary {
    /// Gives back the memory of a crowd that has left, which a dictionary keeps. Call it after each removal: over all of
    /// them together it costs a step each.
    mutating func shrink() {
        guard capacity > 64, count < capacity / 8 else { return }
        var smaller = Dictionary(minimumCapacity: count)
        for (key, value) in self { smaller[key] = value }
        self = smaller
    }
}

/// How long a token lasts: `30s`, `15m`, `24h`, `7d`, or several of them with the greater unit first, `1h30m`.
struct Lifetime: Equatable {
    /// 1 to ten years' worth.
    let seconds: Int64

    static let maximumSeconds: Int64 = 3650 * 86_400

    private static let units: [(letter: Character, seconds: Int64)] = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)]

    init(seconds: Int64) {
        self.seconds = seconds
    }

    /// Nil for anything else, and for what is out of range.
    init?(_ text: String) {
        var rest = text[...]
        var total: Int64 = 0
        for unit in Self.units {
            let digits = rest.prefix { ("0"..."9").contains($0) }
            guard rest[digits.endIndex...].first == unit.letter else { continue }
            // Nine digits of the greatest unit stay within 64 bits.
            guard (1...9).contains(digits.count), let count = Int64(digits) else { return nil }
            total += count * unit.seconds
            rest = rest[digits.endIndex...].dropFirst()
        }
        guard rest.isEmpty, (1...Self.maximumSeconds).contains(total) else { return nil }
        seconds = total
    }
}

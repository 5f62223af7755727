#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A point of time as logs and people read it: ISO 8601, UTC.
struct Timestamp: CustomStringConvertible {
    /// Since 1970, without leap seconds.
    let seconds: Int64
    /// 0 to 999; nil leaves them out of the description.
    let milliseconds: Int?

    init(seconds: Int64, milliseconds: Int? = nil) {
        self.seconds = seconds
        self.milliseconds = milliseconds
    }

    static var now: Timestamp {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(seconds: Int64(time.tv_sec), milliseconds: Int(time.tv_nsec) / 1_000_000)
    }

    var description: String {
        let (days, secondOfDay) = seconds.flooredDivision(by: 86_400)
        let date = Self.date(days: days)
        let time = [secondOfDay / 3600, secondOfDay / 60 % 60, secondOfDay % 60].map { Self.padded($0, 2) }
        let fraction = milliseconds.map { "." + Self.padded(Int64($0), 3) } ?? ""
        return "\(Self.padded(date.year, 4))-\(Self.padded(date.month, 2))-\(Self.padded(date.day, 2))T"
            + time.joined(separator: ":") + fraction + "Z"
    }

    /// The Gregorian date so many days after 1970-01-01. Years are counted from March, so that a leap day is a year's
    /// last.
    private static func date(days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let daysFrom0000March = days + 719_468
        let (era, dayOfEra) = daysFrom0000March.flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        return (era * 400 + yearOfEra + (month <= 2 ? 1 : 0), month, day)
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension Int64 {
    /// The quotient rounded down, and a remainder that is never negative.
    fileprivate func flooredDivision(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// libFuzzer's own main, less the main: runs it with our arguments on a function that judges one input. Integers and
/// pointers are passed by Swift as they are by C.
@_silgen_name("LLVMFuzzerRunDriver")
private func runFuzzer(
    _ count: UnsafeMutablePointer<Int32>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>,
    _ judge: @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32
) -> Int32

/// `fuzz TARGET [libFuzzer's options] [CORPUS…]`. See deploy/fuzz.
///
/// One program for all targets: what takes long is building it. Each target is a function of the input that ends the
/// process when something does not hold.
@main enum Fuzz {
    private typealias Judge = @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32

    private static let targets: [(name: String, judge: Judge)] = [
        ("frames", { judge($0, $1, frames) }),
        ("links", { judge($0, $1, links) }),
        ("sessions", { judge($0, $1, sessions) }),
        ("messages", { judge($0, $1, messages) }),
        ("tokens", { judge($0, $1, tokens) }),
        ("keys", { judge($0, $1, keys) }),
        ("settings", { judge($0, $1, settings) }),
        ("tls", { judge($0, $1, tls) }),
    ]

    static func main() {
        var arguments = CommandLine.arguments
        guard arguments.count > 1, let target = targets.first(where: { $0.name == arguments[1] }) else {
            for target in targets { print(target.name) }
            exit(arguments.count > 1 ? 64 : 0)
        }
        arguments.remove(at: 1)
        // libFuzzer keeps them for as long as it runs.
        var words = arguments.map { strdup($0) } + [nil]
        var count = Int32(arguments.count)
        exit(
            words.withUnsafeMutableBufferPointer { words in
                guard var base = words.baseAddress else { return 64 }
                return runFuzzer(&count, &base, target.judge)
            })
    }

    private static func judge(_ bytes: UnsafePointer<UInt8>?, _ count: Int, _ target: (Input) -> Void) -> Int32 {
        target(Input(UnsafeRawBufferPointer(start: bytes, count: count)))
        return 0
    }
}

/// Ends the process, so that libFuzzer keeps the input.
func expect(_ holds: Bool, _ what: @autoclosure () -> String) {
    if !holds { fail(what()) }
}

func fail(_ what: String) -> Never {
    fatalError(what)
}

/// The input as a source of decisions; zero once it is used up.
struct Input {
    private(set) var rest: UnsafeRawBufferPointer

    init(_ bytes: UnsafeRawBufferPointer) {
        rest = bytes
    }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 {
        guard let first = rest.first else { return 0 }
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst())
        return first
    }

    mutating func take(_ count: Int) -> UnsafeRawBufferPointer {
        let taken = UnsafeRawBufferPointer(rebasing: rest.prefix(count))
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
        return taken
    }

    /// Big-endian.
    mutating func integer(bytes count: Int) -> Int {
        (0..<count).reduce(0) { value, _ in value << 8 | Int(byte()) }
    }

    /// Up to the next line feed, which is left out; the rest if there is none.
    mutating func line() -> UnsafeRawBufferPointer {
        let line = take(rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.count)
        _ = byte()
        return line
    }
}

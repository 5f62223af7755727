#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Standard output: what the user asked for, and progress lines. Nothing is buffered, so a pipe or a file shows a line
/// as soon as a terminal does.
enum StandardOutput {
    /// - Throws: `.inputOutput` when the line could not be written.
    static func write(_ line: String) throws(Failure) {
        guard let code = writeAll(line + "\n", to: STDOUT_FILENO) else { return }
        throw Failure(.inputOutput, "cannot write to standard output: \(systemReason(code))")
    }

    /// Tells the person who watches that something went well. A tunnel does not end because nobody watches any more.
    static func progress(_ line: String) {
        _ = writeAll("✅ \(line)\n", to: STDOUT_FILENO)
    }
}

/// Standard error: errors and logs.
enum StandardError {
    /// A line that cannot be written is lost: there is nowhere to say so.
    static func write(_ line: String) {
        _ = writeAll(line + "\n", to: STDERR_FILENO)
    }
}

/// Nil, or the error number. A line leaves in one write where the system takes it whole, so that those of several
/// threads do not mix.
private func writeAll(_ text: String, to descriptor: Int32) -> Int32? {
    var text = text
    return text.withUTF8 { bytes in
        var rest = UnsafeRawBufferPointer(bytes)
        while !rest.isEmpty {
            let count = unsafe write(descriptor, rest.baseAddress, rest.count)
            if count >= 0 {
                unsafe rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(count))
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
    }
}

extension String {
    /// Whether no character could forge a line of a log or steer a terminal.
    var isPrintable: Bool { !unicodeScalars.contains(where: \.isUnsafeToPrint) }

    /// With escapes in place of the characters that could.
    var printable: String {
        guard !isPrintable else { return self }
        return unicodeScalars.map { $0.isUnsafeToPrint ? $0.escaped(asASCII: true) : String($0) }.joined()
    }
}

extension Unicode.Scalar {
    fileprivate var isUnsafeToPrint: Bool {
        switch properties.generalCategory {
        case .control, .lineSeparator, .paragraphSeparator: true
        default: properties.isBidiControl
        }
    }
}

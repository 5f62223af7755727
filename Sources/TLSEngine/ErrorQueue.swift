import COpenSSL

/// What OpenSSL recorded on this thread during one call, oldest first. Cleared before a call, drained after it: an entry left
/// behind would make the next call on this thread, of whichever connection, look failed.
struct ErrorQueue {
    private let codes: [UInt]

    static func clear() {
        // To look is cheaper, and there is seldom anything.
        if ERR_peek_error() != 0 { ERR_clear_error() }
    }

    static func drain() -> ErrorQueue {
        var codes: [UInt] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { return ErrorQueue(codes: codes) }
            codes.append(code)
        }
    }

    /// OpenSSL's words for the first entry, which names the cause; later ones say where it was noticed.
    var reason: String? {
        guard let code = codes.first else { return nil }
        guard let text = ERR_reason_error_string(code) else { return "openssl error \(code)" }
        return String(cString: text)
    }

    /// The number of the fatal alert that the peer sent, if one ended the connection.
    var alert: Int32? {
        for code in codes where ERR_GET_LIB(code) == ERR_LIB_SSL {
            let reason = ERR_GET_REASON(code)
            if reason >= SSL_AD_REASON_OFFSET { return reason - SSL_AD_REASON_OFFSET }
        }
        return nil
    }

    func contains(_ reasons: Int32...) -> Bool {
        codes.contains { ERR_GET_LIB($0) == ERR_LIB_SSL && reasons.contains(ERR_GET_REASON($0)) }
    }

    /// Whether a PEM reader merely came to the end of its text.
    var isOnlyMissingPEM: Bool {
        codes.count == 1
            && codes.allSatisfy { ERR_GET_LIB($0) == ERR_LIB_PEM && ERR_GET_REASON($0) == PEM_R_NO_START_LINE }
    }

    /// The error for a call that only lack of memory or a broken OpenSSL can make fail.
    static func environment(_ doing: String) -> TLSError {
        .environment("\(doing): \(drain().reason ?? "no reason given")")
    }
}

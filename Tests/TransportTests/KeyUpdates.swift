import COpenSSL
import Synchronization

@testable import TLSEngine

/// Counts the key updates (RFC 8446 §4.6.3) of a context's connections, as OpenSSL sends and receives them.
enum KeyUpdates {
    struct Count {
        var sent = 0
        var received = 0
    }

    private static let counts = Mutex<[UInt: Count]>([:])

    static func watch(_ context: TLSContext) {
        SSL_CTX_set_msg_callback(context.handle.pointer) { isSent, _, type, bytes, length, ssl, _ in
            guard type == SSL3_RT_HANDSHAKE, length > 0, let bytes, let ssl,
                Int32(bytes.load(as: UInt8.self)) == SSL3_MT_KEY_UPDATE, let context = SSL_get_SSL_CTX(ssl)
            else { return }
            KeyUpdates.counts.withLock {
                if isSent != 0 {
                    $0[UInt(bitPattern: context), default: Count()].sent += 1
                } else {
                    $0[UInt(bitPattern: context), default: Count()].received += 1
                }
            }
        }
    }

    static func count(_ context: TLSContext) -> Count {
        counts.withLock { $0[UInt(bitPattern: context.handle.pointer)] ?? Count() }
    }
}

import TestSupport

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// An echo that keeps what it was told on each connection, and how that ended.
final class RecordingEcho: Target {
    struct Visit: Sendable {
        enum End: Sendable { case finished, reset }

        var bytes: [UInt8] = []
        var end: End?
    }

    private let all: Monitor<[Visit]>
    private let service: Service

    init() throws {
        let all = Monitor<[Visit]>([])
        self.all = all
        service = try Service { connection in
            let index = all.change { visits in
                visits.append(Visit())
                return visits.count - 1
            }
            do {
                while case let bytes = try connection.receive(), !bytes.isEmpty {
                    all.change { $0[index].bytes += bytes }
                    try connection.send(bytes)
                }
                all.change { $0[index].end = .finished }
            } catch {
                all.change { $0[index].end = .reset }
            }
        }
    }

    var port: UInt16 { service.port }
    var address: String { "127.0.0.1:\(port)" }
    var visits: [Visit] { all.change { $0 } }

    /// Waits for the end of the nth connection.
    func awaitEnd(of number: Int = 1) throws -> Visit {
        let found = all.wait(within: Process.patience) { visits in
            visits.count >= number && visits[number - 1].end != nil ? visits[number - 1] : nil
        }
        guard let found else { throw ProcessError("connection \(number) of the service has not ended: \(visits)") }
        return found
    }
}

extension Connection {
    /// Waits for the end; what was said before, and whether it came as a reset.
    func receiveToAnyEnd() throws -> (bytes: [UInt8], wasReset: Bool) {
        var bytes: [UInt8] = []
        do {
            while case let more = try receive(), !more.isEmpty { bytes += more }
            return (bytes, false)
        } catch let error as SocketError where error.code == ECONNRESET {
            return (bytes, true)
        }
    }
}

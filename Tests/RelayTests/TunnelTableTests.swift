import Testing
import Wire

@testable import Relay

@Suite struct `the table of tunnels` {
    private static func table(_ change: (inout RelayLimits) -> Void) -> TunnelTable {
        var limits = RelayLimits()
        change(&limits)
        return TunnelTable(limits: limits)
    }

    /// - Returns: nil for a refusal, which must say `limit_exceeded`.
    private func place(_ client: String, _ agent: String, in table: TunnelTable) throws -> TunnelPlace? {
        let id = try #require(AgentID(agent))
        do {
            return try table.place(client: client, agent: id)
        } catch {
            #expect(error.code == .limitExceeded)
            return nil
        }
    }

    @Test func `limits a client over all agents, and no other client`() throws {
        let table = Self.table { $0.tunnelsPerClient = 2 }
        var places = try ["a", "b"].map { try place("mallory", $0, in: table) }
        #expect(places.allSatisfy { $0 != nil })
        #expect(try place("mallory", "c", in: table) == nil)
        #expect(try place("alice", "a", in: table) != nil)
        places.removeLast()
        #expect(try place("mallory", "c", in: table) != nil)
    }

    @Test func `limits an agent over all clients, and no other agent`() throws {
        let table = Self.table { $0.tunnelsPerAgent = 2 }
        let places = try ["alice", "bob"].map { try place($0, "db", in: table) }
        #expect(places.allSatisfy { $0 != nil })
        #expect(try place("carol", "db", in: table) == nil)
        #expect(try place("carol", "web", in: table) != nil)
    }

    @Test func `limits all together, and a refusal takes no place`() throws {
        let table = Self.table { $0.tunnels = 1 }
        var first = try place("alice", "db", in: table)
        #expect(first != nil)
        for _ in 0..<3 { #expect(try place("bob", "web", in: table) == nil) }
        first = nil
        #expect(try place("bob", "web", in: table) != nil)
    }
}

package import Wire

/// Gives the token for the next dial; called each time, so that a renewed file is seen.
package typealias TokenSource = @Sendable () throws -> BearerToken

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The files of the repository that these tests were compiled from.
enum Repository {
    struct File {
        /// From the repository's root.
        var path: String
        var text: String
    }

    private static let root = #filePath.split(separator: "/").dropLast(3).reduce("") { $0 + "/" + $1 }

    /// The folders under `Sources`: one for each module.
    static func modules() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: root + "/Sources").filter { !$0.hasPrefix(".") }.sorted()
    }

    /// The files under `folder`, at any depth, whose names end in one of `suffixes`.
    static func files(under folder: String, _ suffixes: [String]) throws -> [File] {
        try FileManager.default.subpathsOfDirectory(atPath: root + "/" + folder).sorted()
            .filter { path in suffixes.contains { path.hasSuffix($0) } }
            .map { try file(folder + "/" + $0) }
    }

    static func file(_ path: String) throws -> File {
        File(path: path, text: try String(contentsOfFile: root + "/" + path, encoding: .utf8))
    }
}

// swift-tools-version: 6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let deque = Target.Dependency.product(name: "DequeModule", package: "swift-collections")

/// Who may import whom is the table in Docs/ARCHITECTURE.md; HouseTests holds the sources to it.
func module(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// Constants are to be read-only, and given back when a role rests; the default linker leaves them writable. Addresses of
/// functions in libraries are to be read-only from the start.
let linker: [LinkerSetting] = [
    .unsafeFlags(
        ["-use-ld=lld"]
            + ["-T", "\(Context.packageDirectory)/Sources/adit/sections.ld", "-z", "now"].flatMap { ["-Xlinker", $0] },
        .when(platforms: [.linux]))
]

let package = Package(
    name: "adit",
    platforms: [.macOS(.v15)],
    products: [.executable(name: "adit", targets: ["adit"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        // Its JSON trait links all of Foundation (60 MB); the environment-file format needs none of it.
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        .systemLibrary(name: "CJWT", pkgConfig: "libjwt", providers: [.apt(["libjwt-dev"]), .brew(["libjwt"])]),
        .target(name: "CSandbox"),
        .target(name: "CPoller"),
        .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        module("Wire", []),
        module("Mux", ["Wire"]),
        module("TLSEngine", ["COpenSSL"]),
        module("Tokens", ["CJWT"]),
        module("Transport", ["TLSEngine", "CPoller", "Mux", "Wire", nioCore, nioPosix, logging, deque]),
        module("EndToEnd", ["Transport", "TLSEngine", "Mux", "Wire", nioCore, logging]),
        module("Relay", ["Transport", "Tokens", "Mux", "Wire", nioCore, nioPosix, logging]),
        module("Agent", ["Transport", "EndToEnd", "Mux", "Wire", nioCore, logging]),
        module("Connect", ["Transport", "EndToEnd", "Mux", "Wire", nioCore, logging]),
        .executableTarget(
            name: "adit",
            dependencies: [
                "Relay", "Agent", "Connect", "EndToEnd", "Transport", "TLSEngine", "Tokens", "Mux", "Wire", "CSandbox",
                logging, .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            exclude: ["sections.ld"], swiftSettings: settings, linkerSettings: linker),
        .target(name: "TestSupport", path: "Tests/TestSupport", swiftSettings: settings),
        // Work for deploy/instruction-counts to count.
        .executableTarget(
            name: "instruction-counts",
            dependencies: [
                "Transport", "TLSEngine", "Tokens", "Mux", "Wire", nioCore,
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            path: "Tests/InstructionCounts", exclude: ["thresholds.txt"], swiftSettings: settings),
        // Ends of many tunnels, for Tests/Benchmarks/adit-bench.
        .executableTarget(
            name: "crowd",
            dependencies: [
                "Agent", "Connect", "EndToEnd", "Transport", "TLSEngine", "Wire", "CSandbox", nioCore, logging,
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Benchmarks/Crowd", swiftSettings: settings),
        tests("HouseTests", []),
        tests("WireTests", ["Wire"]),
        tests("MuxTests", ["Mux", "Wire"]),
        tests("TLSEngineTests", ["TLSEngine", "COpenSSL"]),
        tests(
            "TransportTests", ["Transport", "TLSEngine", "COpenSSL", "CPoller", "Mux", "Wire", nioCore, nioPosix]),
        tests("TokensTests", ["Tokens"]),
        tests("RelayTests", ["Relay", "Wire", nioCore]),
        tests("AgentTests", ["Agent", "Wire", nioCore, nioPosix]),
        tests("EndToEndModuleTests", ["EndToEnd", "Transport", "TLSEngine", "Mux", "Wire", nioCore, nioPosix]),
        .testTarget(
            name: "CommandLineTests", dependencies: ["adit", "TestSupport", "Tokens"], resources: [.copy("testdata")],
            swiftSettings: settings),
        tests("EndToEndTests", ["adit", "TestSupport", "TLSEngine"]),
    ]
)

// For deploy/fuzz: libFuzzer has to be linked, so no other build knows this target. It counts what is reached in our
// modules, opens them to it, and takes adit, a program, as a library.
if Context.environment["ADIT_FUZZ"] != nil, let adit = package.targets.first(where: { $0.name == "adit" }) {
    let counted: [SwiftSetting] = [.unsafeFlags(["-sanitize=fuzzer", "-enable-testing"])]
    let withoutMain: [SwiftSetting] = [
        .unsafeFlags(["-Xfrontend", "-entry-point-function-name", "-Xfrontend", "adit_main"])
    ]
    package.products = []
    package.targets =
        package.targets.filter { $0.type == .regular || $0.type == .system }
        + [
            .target(
                name: adit.name, dependencies: adit.dependencies, exclude: adit.exclude,
                swiftSettings: settings + withoutMain),
            .executableTarget(
                name: "fuzz",
                dependencies: [
                    "adit", "Relay", "EndToEnd", "Transport", "TLSEngine", "COpenSSL", "Tokens", "Mux", "Wire", nioCore,
                    logging, .product(name: "NIOEmbedded", package: "swift-nio"),
                ],
                path: "Tests/Fuzz", exclude: ["corpus"], swiftSettings: settings,
                // gold, the default, cannot link it.
                linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])]),
        ]
    for target in package.targets { if let own = target.swiftSettings { target.swiftSettings = own + counted } }
}

// swift-tools-version: 6.2
import PackageDescription

#if canImport(Glibc)
  import Glibc
#endif

// What changes less imports nothing that changes more: the pure cores at the bottom import nothing,
// the server at the top imports all. ARCHITECTURE.md has the map.

/// `Span` with scoped lifetimes lets parsers look at a receive buffer without a copy and without unsafe pointers.
let strict: [SwiftSetting] = [
  .enableExperimentalFeature("Lifetimes"),
  // One loop owns all state, and the debug build, which the tests run, checks every access for overlap. In the release
  // build these checks would be a seventh of the user-space instructions of a handshake (ARCHITECTURE.md).
  .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
]

/// The bridges to Kafka and RabbitMQ are a program of their own, which is built only where both libraries are installed: a
/// node needs neither. SwiftPM keeps what a manifest said, so `swift package purge-cache` makes it look again.
#if canImport(Glibc)
  let hasBridges = ["librdkafka/rdkafka.h", "amqp.h"].allSatisfy { access("/usr/include/\($0)", R_OK) == 0 }
#else
  let hasBridges = false
#endif

let bridgeProducts: [Product] = hasBridges ? [.executable(name: "roost-bridges", targets: ["roost-bridges"])] : []

let bridgeTargets: [Target] =
  !hasBridges
  ? []
  : [
    .systemLibrary(name: "CRdKafka", providers: [.apt(["librdkafka-dev"])]),
    .systemLibrary(name: "CRabbitMQ", providers: [.apt(["librabbitmq-dev"])]),
    .target(
      name: "Bridges",
      dependencies: [
        "BridgeCore", "Server", "RedisBackend", "Realtime", "ClientProtocol", "Settings", "LoopCore", "TimeCore",
        "JSONCore", "CSystem", "CRdKafka", "CRabbitMQ",
      ], swiftSettings: strict),
    .executableTarget(name: "roost-bridges", dependencies: ["Bridges", "Server"], swiftSettings: strict),
    .testTarget(
      name: "BridgesTests",
      dependencies: [
        "Bridges", "roost", "roost-bridges", "CRdKafka", "CRabbitMQ", "Settings", "TestSupport",
      ],
      swiftSettings: strict),
  ]

let package = Package(
  name: "roost",
  // Of Apple's systems only RoostClient is meant: JSONCore needs InlineArray, which came with these versions.
  platforms: [.macOS(.v26), .iOS(.v26), .tvOS(.v26), .watchOS(.v26), .visionOS(.v26)],
  products: [
    .executable(name: "roost", targets: ["roost"]),
    // For other packages: a node inside a program, and clients.
    .library(name: "RoostServer", targets: ["RoostServer"]),
    .library(name: "RoostClient", targets: ["RoostClient"]),
    // For the fuzzer, a package of its own because it needs every module built with its instrumentation.
    .library(name: "FuzzTargets", targets: ["FuzzTargets"]),
    // For tests, which preload it into other programs: it sets their clocks.
    .library(name: "FalseClock", type: .dynamic, targets: ["FalseClock"]),
  ] + bridgeProducts,
  targets: [
    // System libraries, each an apt package with a line in the README saying why.
    .systemLibrary(name: "CHiredis", pkgConfig: "hiredis", providers: [.apt(["libhiredis-dev"]), .brew(["hiredis"])]),
    .systemLibrary(name: "COpenSSL", providers: [.apt(["libssl-dev"]), .brew(["openssl@3"])]),
    .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"]), .brew(["zlib"])]),
    .systemLibrary(name: "CCurl", providers: [.apt(["libcurl4-openssl-dev"]), .brew(["curl"])]),
    .systemLibrary(name: "CSystem"),

    // Pure code, most of it of protocols: no sockets, no clocks, no imports but of each other.
    .target(name: "AddressCore", swiftSettings: strict),
    .target(name: "JSONCore", swiftSettings: strict),
    .target(name: "HTTPCore", swiftSettings: strict),
    .target(name: "WebSocketCore", swiftSettings: strict),
    .target(name: "TimeCore", swiftSettings: strict),
    .target(name: "ClientProtocol", dependencies: ["JSONCore"], swiftSettings: strict),
    .target(name: "SocketIOCore", dependencies: ["ClientProtocol", "JSONCore"], swiftSettings: strict),

    .target(name: "LoopCore", dependencies: ["TimeCore", "CSystem", "COpenSSL"], swiftSettings: strict),
    .target(name: "Compression", dependencies: ["CZlib"], swiftSettings: strict),
    .target(name: "Transfers", dependencies: ["CCurl", "LoopCore", "TimeCore"], swiftSettings: strict),
    .target(
      name: "Realtime", dependencies: ["ClientProtocol", "AddressCore", "JSONCore", "TimeCore"], swiftSettings: strict),
    .target(
      name: "Tokens", dependencies: ["ClientProtocol", "Realtime", "LoopCore", "JSONCore", "Transfers", "CCurl"],
      swiftSettings: strict),
    .target(
      name: "Webhooks",
      dependencies: ["LoopCore", "TimeCore", "JSONCore", "Realtime", "ClientProtocol", "Transfers", "CCurl"],
      swiftSettings: strict),
    .target(
      name: "Telemetry",
      dependencies: ["ClientProtocol", "Realtime", "LoopCore", "TimeCore", "JSONCore", "Transfers"],
      swiftSettings: strict),
    .target(name: "Settings", dependencies: ["AddressCore", "JSONCore"], swiftSettings: strict),
    // What bridges decide, without their libraries: pure.
    .target(
      name: "BridgeCore", dependencies: ["ClientProtocol", "Realtime", "Settings", "JSONCore", "TimeCore"],
      swiftSettings: strict),
    .target(
      name: "RedisBackend",
      dependencies: ["ClientProtocol", "Realtime", "LoopCore", "TimeCore", "JSONCore", "CHiredis"],
      resources: [.embedInCode("Scripts")], swiftSettings: strict),
    .target(
      name: "Server",
      dependencies: [
        "ClientProtocol", "Realtime", "RedisBackend", "LoopCore", "HTTPCore", "WebSocketCore", "JSONCore", "Settings",
        "Compression", "AddressCore", "TimeCore", "Tokens", "Webhooks", "Transfers", "Telemetry", "SocketIOCore",
        "CSystem",
      ],
      resources: [.embedInCode("Pages")], swiftSettings: strict),
    .target(name: "RoostJSON", swiftSettings: strict),
    .target(
      name: "RoostServer",
      dependencies: [
        "Server", "Realtime", "ClientProtocol", "Settings", "LoopCore", "JSONCore", "TimeCore", "RoostJSON",
      ],
      swiftSettings: strict),
    .target(
      name: "ClientCore", dependencies: ["HTTPCore", "JSONCore", "LoopCore", "WebSocketCore"], swiftSettings: strict),
    // Elsewhere than on Linux its transport is URLSession.
    .target(
      name: "RoostClient",
      dependencies: [
        "ClientProtocol", "JSONCore", "RoostJSON", .target(name: "ClientCore", condition: .when(platforms: [.linux])),
        .target(name: "HTTPCore", condition: .when(platforms: [.linux])),
        .target(name: "LoopCore", condition: .when(platforms: [.linux])),
        .target(name: "WebSocketCore", condition: .when(platforms: [.linux])),
      ], swiftSettings: strict),
    .target(
      name: "Commands",
      dependencies: [
        "ClientProtocol", "ClientCore", "Settings", "JSONCore", "LoopCore", "WebSocketCore", "HTTPCore", "Transfers",
        "CCurl",
      ],
      swiftSettings: strict),
    .target(
      name: "Bench",
      dependencies: [
        "ClientProtocol", "ClientCore", "WebSocketCore", "Compression", "LoopCore", "HTTPCore", "JSONCore", "Settings",
        "Transfers",
        "CCurl", "CSystem",
      ],
      swiftSettings: strict),
    // `roost doctor`: what usually goes wrong, looked at from this machine.
    .target(
      name: "Diagnosis",
      dependencies: [
        "Server", "RedisBackend", "ClientCore", "Settings", "JSONCore", "LoopCore", "Transfers", "CCurl",
      ],
      swiftSettings: strict),
    .executableTarget(
      name: "roost", dependencies: ["Server", "Commands", "Bench", "Diagnosis", "ClientCore", "JSONCore"],
      swiftSettings: strict),

    // Real processes and sockets for tests; no product.
    .target(
      name: "TestSupport", dependencies: ["WebSocketCore", "Compression", "JSONCore", "LoopCore"],
      path: "Tests/TestSupport",
      swiftSettings: strict),
    .target(name: "FalseClock", path: "Tests/FalseClock"),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "AddressCore", "HTTPCore", "WebSocketCore", "Compression", "JSONCore", "ClientProtocol", "Realtime",
        "RedisBackend", "Settings", "Server", "SocketIOCore", "Tokens", "Webhooks",
      ], path: "Tests/FuzzTargets", swiftSettings: strict),
    // Seeds and what is drawn from them, for tests of every level: pure.
    .target(name: "Randomness", path: "Tests/Randomness", swiftSettings: strict),
    // Counted by `make flat`: the hub without sockets.
    .executableTarget(
      name: "flatcost", dependencies: ["ClientProtocol", "Realtime"], path: "Tests/flat/driver", swiftSettings: strict),
    // The examples of docs/embedding.md, which tests run.
    .executableTarget(name: "ChatExample", dependencies: ["RoostServer"], path: "Tests/embedding/chat"),
    .executableTarget(name: "TickerExample", dependencies: ["RoostServer"], path: "Tests/embedding/ticker"),
    // Prints the figures of docs/embedding.md and docs/swift-client.md.
    .executableTarget(
      name: "LibraryFigures", dependencies: ["RoostServer", "RoostClient"], path: "Tests/embedding/figures"),
    .testTarget(
      name: "RoostServerTests",
      dependencies: [
        "RoostServer", "ChatExample", "TickerExample", "LoopCore", "TimeCore", "JSONCore", "TestSupport",
      ], swiftSettings: strict),
    .testTarget(
      name: "RoostClientTests",
      dependencies: ["RoostClient", "roost", "ClientCore", "ClientProtocol", "JSONCore", "TestSupport"],
      swiftSettings: strict),
    .testTarget(name: "FuzzTests", dependencies: ["FuzzTargets", "Randomness"], swiftSettings: strict),
    .testTarget(name: "AddressCoreTests", dependencies: ["AddressCore"], swiftSettings: strict),
    .testTarget(name: "JSONCoreTests", dependencies: ["JSONCore", "Randomness"], swiftSettings: strict),
    .testTarget(
      name: "BridgeCoreTests",
      dependencies: ["BridgeCore", "ClientProtocol", "Realtime", "Settings", "JSONCore", "TimeCore"],
      swiftSettings: strict),
    .testTarget(name: "SettingsTests", dependencies: ["Settings", "JSONCore", "Randomness"], swiftSettings: strict),
    .testTarget(
      name: "ClientProtocolTests", dependencies: ["ClientProtocol", "JSONCore", "Randomness", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "RealtimeTests", dependencies: ["ClientProtocol", "Realtime", "JSONCore", "Randomness"],
      swiftSettings: strict),
    .testTarget(
      name: "BrokerTests",
      dependencies: [
        "ClientProtocol", "Realtime", "RedisBackend", "LoopCore", "JSONCore", "TestSupport", "Randomness",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "TokensTests",
      dependencies: ["ClientProtocol", "Tokens", "Realtime", "LoopCore", "JSONCore", "TestSupport", "Randomness"],
      swiftSettings: strict),
    .testTarget(
      name: "WebhooksTests",
      dependencies: ["Webhooks", "Realtime", "LoopCore", "TimeCore", "JSONCore", "Transfers", "CCurl", "TestSupport"],
      swiftSettings: strict),
    .testTarget(
      name: "TelemetryTests",
      dependencies: [
        "Telemetry", "ClientProtocol", "Realtime", "LoopCore", "TimeCore", "JSONCore", "TestSupport",
      ],
      swiftSettings: strict),
    .testTarget(name: "LoopCoreTests", dependencies: ["LoopCore", "TestSupport"], swiftSettings: strict),
    .testTarget(
      name: "ServerTests",
      dependencies: [
        "ClientProtocol", "TimeCore", "roost", "Server", "Realtime", "Compression", "TestSupport", "JSONCore",
        "WebSocketCore",
        "Randomness",
      ],
      swiftSettings: strict),
    .testTarget(
      name: "ClusterTests", dependencies: ["roost", "TestSupport", "JSONCore", "WebSocketCore", "Randomness"],
      swiftSettings: strict),
    .testTarget(
      name: "FaultTests", dependencies: ["roost", "TestSupport", "JSONCore", "WebSocketCore", "Randomness"],
      swiftSettings: strict),
    .testTarget(
      name: "SocketIOCoreTests", dependencies: ["SocketIOCore", "ClientProtocol", "JSONCore", "Randomness"],
      swiftSettings: strict),
    .testTarget(name: "CompressionTests", dependencies: ["Compression"], swiftSettings: strict),
    .testTarget(name: "HTTPCoreTests", dependencies: ["HTTPCore", "Randomness"], swiftSettings: strict),
    .testTarget(
      name: "ClientCoreTests", dependencies: ["ClientCore", "HTTPCore", "LoopCore"], swiftSettings: strict),
    .testTarget(
      name: "BenchTests", dependencies: ["Bench", "ClientCore", "Settings", "LoopCore"], swiftSettings: strict),
    .testTarget(
      name: "WebSocketCoreTests", dependencies: ["WebSocketCore", "JSONCore", "Randomness"], swiftSettings: strict),
    .testTarget(
      name: "DiagnosisTests", dependencies: ["Diagnosis", "RedisBackend", "JSONCore", "TestSupport", "roost"],
      swiftSettings: strict),
    .testTarget(
      name: "CommandsTests",
      dependencies: ["Commands", "ClientCore", "JSONCore", "LoopCore", "Settings", "TestSupport", "roost"],
      swiftSettings: strict),
  ] + bridgeTargets,
  swiftLanguageModes: [.v6]
)

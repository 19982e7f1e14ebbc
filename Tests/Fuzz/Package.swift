// swift-tools-version: 6.2
import PackageDescription

// Built by `make fuzz` with `-sanitize=fuzzer` for every module, which no other product could be linked with.
let package = Package(
  name: "RoostFuzz",
  dependencies: [.package(name: "roost", path: "../..")],
  targets: [
    .systemLibrary(name: "CLibFuzzer"),
    .executableTarget(
      name: "Fuzz", dependencies: ["CLibFuzzer", .product(name: "FuzzTargets", package: "roost")],
      // libFuzzer's archive brings a `main` of its own, which loses to ours; gold cannot say so without a crash.
      linkerSettings: [.unsafeFlags(["-use-ld=lld", "-Xlinker", "--allow-multiple-definition"])]),
  ],
  swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

// A package of somebody else that depends on this one: by path, or, with ROOST_TAG, by a tag of a repository.

let place = Context.environment["ROOST_PACKAGE"] ?? "../.."
let roost: Package.Dependency =
  if let tag = Context.environment["ROOST_TAG"], let version = Version(tag) {
    .package(url: place, exact: version)
  } else {
    .package(name: "roost", path: place)
  }

let package = Package(
  name: "consumer",
  dependencies: [roost],
  targets: [
    .executableTarget(
      name: "consumer",
      dependencies: [
        .product(name: "RoostServer", package: "roost"), .product(name: "RoostClient", package: "roost"),
      ])
  ],
  swiftLanguageModes: [.v6]
)

// swift-tools-version: 6.2
import PackageDescription

/// SwiftPM changes how it links everything as soon as one target uses Embedded Swift, so the mode is chosen for the
/// whole package: `TUSK_EMBEDDED=1 swift build --scratch-path .build-embedded`.
let embedded = Context.environment["TUSK_EMBEDDED"] != nil

let strict: [SwiftSetting] = [
  .treatAllWarnings(as: .error),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]
/// Settings of the modules that also compile as Embedded Swift. There each function has a section of its own, so that the
/// linker leaves out what nothing calls, and is compiled for size: measured, a third less, and the same time, since what
/// takes time is C. Such flags bar a package from being a dependency, which the Embedded mode, one program without a
/// library, never is.
let core: [SwiftSetting] =
  strict
  + (embedded
    ? [.enableExperimentalFeature("Embedded"), .unsafeFlags(["-Osize", "-Xfrontend", "-function-sections"])] : [])

/// What makes the Embedded program smaller: functions of the same instructions exist once, and relocations are packed, which
/// takes the same C library as the rest, glibc 2.36. Measured: 5 % less.
let small: [LinkerSetting] =
  embedded
  ? [.unsafeFlags(["-use-ld=lld", "-Xlinker", "--icf=all", "-Xlinker", "-z", "-Xlinker", "pack-relative-relocs"])]
  : []

let coreTargets: [Target] = [
  .target(name: "CTuskKernels"),
  .target(name: "CTuskSystem", cSettings: [.define("_GNU_SOURCE")]),
  .target(name: "TuskFormat", dependencies: ["CTuskSystem"], swiftSettings: core),
  .target(name: "TuskTokenizer", dependencies: ["TuskFormat"], swiftSettings: core),
  .target(
    name: "TuskEngine", dependencies: ["CTuskKernels", "CTuskSystem", "TuskFormat", "TuskTokenizer"],
    swiftSettings: core),
  .target(name: "CTusk"),
  .target(name: "CTuskHandles"),
  .target(
    name: "TuskC",
    dependencies: ["CTusk", "CTuskHandles", "CTuskKernels", "TuskEngine", "TuskFormat", "TuskTokenizer"],
    swiftSettings: core),
  .executableTarget(
    name: "tusk-nano", dependencies: ["TuskEngine", "TuskFormat", "TuskTokenizer", "CTuskSystem"],
    swiftSettings: core, linkerSettings: small),
]

let hostTargets: [Target] = [
  .systemLibrary(name: "CZlib", providers: [.apt(["zlib1g-dev"])]),
  .target(
    name: "TuskConversion", dependencies: ["TuskFormat", "TuskTokenizer", "CTuskSystem", "CZlib"],
    swiftSettings: strict),
  .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl", .when(platforms: [.linux]))]),
  .target(
    name: "CTuskBackward", dependencies: ["CTuskKernels"], cSettings: [.headerSearchPath("../CTuskKernels/lanes")]),
  .target(
    name: "TuskTraining",
    dependencies: [
      "COpenBLAS", "CTuskBackward", "CTuskKernels", "CTuskSystem", "TuskConversion", "TuskEngine", "TuskFormat",
      "TuskTokenizer",
    ],
    swiftSettings: strict),
  .executableTarget(
    name: "tusk",
    dependencies: [
      "TuskConversion", "TuskEngine", "TuskFormat", "TuskTokenizer", "TuskTraining", "CTuskKernels", "CTuskSystem",
      .product(name: "ArgumentParser", package: "swift-argument-parser"),
      .product(name: "Logging", package: "swift-log"),
    ],
    swiftSettings: strict),
  .testTarget(
    name: "TuskTokenizerTests", dependencies: ["TuskTokenizer", "TuskConversion", "TuskFormat"], swiftSettings: strict),
  .testTarget(name: "CTuskKernelsTests", dependencies: ["CTuskKernels", "CTuskSystem"], swiftSettings: strict),
  .testTarget(name: "TuskFormatTests", dependencies: ["TuskFormat"], swiftSettings: strict),
  .testTarget(
    name: "TuskConversionTests", dependencies: ["TuskConversion", "TuskFormat", "CZlib"], swiftSettings: strict),
  .testTarget(
    name: "TuskEngineTests",
    dependencies: [
      "TuskEngine", "TuskConversion", "TuskFormat", "TuskTokenizer", "CTuskKernels", "CTuskSystem",
      "CTuskAllocationCounter",
    ],
    swiftSettings: strict),
  .testTarget(
    name: "TuskTrainingTests",
    dependencies: [
      "TuskTraining", "COpenBLAS", "CTuskBackward", "TuskEngine", "TuskConversion", "TuskFormat", "TuskTokenizer",
      "CTuskKernels",
      "CTuskSystem",
      "CTuskAllocationCounter",
    ],
    swiftSettings: strict),
  .testTarget(
    name: "TuskCTests", dependencies: ["CTusk", "CTuskHandles", "TuskC", "TuskConversion", "TuskFormat"],
    swiftSettings: strict),
  .target(name: "CTuskAllocationCounter", path: "Tests/CTuskAllocationCounter"),
  .testTarget(
    name: "TuskCLITests", dependencies: ["tusk", "tusk-nano", "TuskFormat"], exclude: ["Help"], swiftSettings: strict),
]

let package = Package(
  name: "tusk",
  products: embedded
    ? [.executable(name: "tusk-nano", targets: ["tusk-nano"])]
    : [
      .library(name: "Tusk", targets: ["TuskFormat", "TuskTokenizer", "TuskEngine"]),
      .library(name: "TuskConversion", targets: ["TuskConversion"]),
      .library(name: "TuskTraining", targets: ["TuskTraining"]),
      .executable(name: "tusk", targets: ["tusk"]),
      .executable(name: "tusk-nano", targets: ["tusk-nano"]),
    ],
  dependencies: embedded
    ? []
    : [
      .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
      .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    ],
  targets: embedded ? coreTargets : coreTargets + hostTargets,
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)

import TuskFormat

/// LN tuning: norms of the task's own.
struct PEFTNorms {
  private static let weight = ".ln_tuning_layers.weight"
  private static let bias = ".ln_tuning_layers.bias"

  private let directory: PEFTDirectory

  init(_ directory: PEFTDirectory) { self.directory = directory }

  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let modules = directory.modules(with: [Self.weight, Self.bias])
    for module in modules {
      guard let slot = directory.modules.norms[module] else {
        let name = directory.tensors[module + Self.weight]?.name ?? module
        throw ConversionError(
          directory.modules.products[module] == nil ? .mismatch : .unsupported,
          file: directory.checkpoint.firstFile, subject: name,
          "the backbone has no norm '\(module.printable)'; only norms are taken from an adapter of kind LN_TUNING")
      }
      let shape = [assembly.config.dModel]
      assembly.setNorm(try assembly.take(module + Self.weight, shape: shape), slot: slot)
      if directory.modules.hasNormBiases {
        assembly.setNormBias(try assembly.take(module + Self.bias, shape: shape), slot: slot)
      }
    }
    try directory.requireTargets(modules, among: directory.modules.norms.keys)
  }
}

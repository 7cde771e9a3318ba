import TuskFormat

/// LoRA: `y += scaling * (x A^T) B^T` at each linear that the file has a pair of matrices for, and the backbone's biases
/// where they were trained too.
struct PEFTLoRA {
  private static let down = ".lora_A.weight"
  private static let up = ".lora_B.weight"
  private static let upBias = ".lora_B.bias"

  private let directory: PEFTDirectory
  private let scale: PEFTScale
  private let hasBias: Bool
  private let trainsBiases: Bool

  init(_ directory: PEFTDirectory) throws(ConversionError) {
    self.directory = directory
    let settings = directory.settings
    scale = try PEFTScale(settings, alphaKey: "lora_alpha")
    hasBias = try settings.bool("lora_bias", default: false)
    switch try settings.optionalText("bias") {
    case nil, "none": trainsBiases = false
    case "all", "lora_only": trainsBiases = true
    default: throw settings.error("bias", required: "none, all or lora_only")
    }
    for name in directory.tensors.keys.sorted() {
      let tensor = directory.tensors[name]!
      let reason: String
      if name.contains(".lora_magnitude_vector") {
        reason = "found a tensor of DoRA, which is not supported"
      } else if name.contains("lora_embedding_") {
        reason = "found a LoRA on an embedding, which is not supported"
      } else {
        continue
      }
      throw ConversionError(.unsupported, file: tensor.sourceFile, subject: tensor.name, reason)
    }
  }

  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let modules = directory.modules(with: [Self.down, Self.up])
    for module in modules {
      for (part, other) in [(Self.down, Self.up), (Self.up, Self.down)]
      where directory.tensors[module + part] == nil {
        let pair = directory.tensors[module + other]!
        throw ConversionError(
          .missingTensor, file: pair.sourceFile,
          subject: pair.name.replacing(other.dropLast(".weight".count), with: part.dropLast(".weight".count)),
          "found no such tensor, but '\(pair.name.printable)', the other of its pair")
      }
      try add(module, to: &assembly)
    }
    try directory.requireTargets(modules, among: directory.modules.products.keys)
    if trainsBiases { try addBiases(to: &assembly) }
  }

  private func add(_ module: String, to assembly: inout TaskAssembly) throws(ConversionError) {
    let place = try directory.place(of: module, Self.down)
    let trainedName = directory.trainedName(module, Self.down)
    let rank = try scale.rank(of: trainedName)
    let tensor = directory.tensors[module + Self.down]!
    if let found = tensor.shape.first, found != rank { throw scale.rankError(found, tensor) }
    if tensor.shape.count == 2, tensor.shape[1] != place.inWidth {
      throw ConversionError(
        .mismatch, file: tensor.sourceFile, subject: tensor.name,
        "found a matrix for inputs of width \(tensor.shape[1]); the backbone's have \(place.inWidth): the adapter belongs "
          + "to another backbone")
    }
    guard rank <= max(place.inWidth, place.outWidth) else {
      throw directory.settings.error("r", required: "a rank that is no larger than the widths of the linear")
    }
    assembly.addLowRank(
      at: place, a: try assembly.take(module + Self.down, shape: [rank, place.inWidth]),
      b: try assembly.take(module + Self.up, shape: [place.outWidth, rank]), rank: rank,
      scaling: try scale.scaling(of: trainedName),
      bias: hasBias ? try assembly.take(module + Self.upBias, shape: [place.outWidth]) : nil)
  }

  /// The biases of the backbone that the file replaces: of linears and of norms.
  private func addBiases(to assembly: inout TaskAssembly) throws(ConversionError) {
    for module in directory.modules(with: [".bias"]) {
      if let place = directory.modules.products[module], place.target != .head {
        assembly.setBias(try assembly.take(module + ".bias", shape: [place.outWidth]), at: place)
      } else if let slot = directory.modules.norms[module], directory.modules.hasNormBiases {
        assembly.setNormBias(try assembly.take(module + ".bias", shape: [assembly.config.dModel]), slot: slot)
      }
    }
  }
}

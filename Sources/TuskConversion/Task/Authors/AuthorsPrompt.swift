import TuskFormat

/// Prompt tuning of the authors: vectors in front of the encoder's embeddings.
enum AuthorsPrompt {
  /// Of the tensor. Both stacks have it too, though the decoder never uses it.
  static let names = ["prefix_shared", "encoder.prefix_emb", "decoder.prefix_emb"]

  static func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    guard let first = names.first(where: { assembly.ledger[$0] != nil }), let tensor = assembly.ledger[first] else {
      throw ConversionError(
        .missingTensor, file: assembly.ledger.directory, subject: names[0],
        "found no such tensor; the authors' prompts (prefix_tuning) have one")
    }
    guard tensor.shape.count == 2, (1...4096).contains(tensor.shape[0]) else {
      throw ConversionError(
        .misshapenTensor, file: tensor.sourceFile, subject: tensor.name,
        "found shape \(tensor.shape); 1 to 4096 vectors are required")
    }
    let shape = [tensor.shape[0], assembly.config.dModel]
    let values = try assembly.take(first, shape: shape)
    for copy in names { try assembly.ledger.takeCopy(copy, shape: shape, of: values) }
    try assembly.addPrompt(count: shape[0], embeddings: values, place: .front, stage: .wordEmbeddings)
  }
}

/// BitFit of the authors: a bias for every linear and every norm of a block, which T5 has none of.
enum AuthorsBiases {
  /// - Parameter config: of the checkpoint, whose vocabulary may be smaller than the backbone's.
  static func assemble(_ assembly: inout TaskAssembly, _ config: BackboneConfig) throws(ConversionError) {
    let modules = BackboneModules(.t5, config)
    let names = assembly.ledger.names.filter { $0.hasSuffix(".bias") }.sorted()
    guard !names.isEmpty else {
      throw ConversionError(
        .missingTensor, file: assembly.ledger.directory, "found no bias; the authors' BitFit trains nothing else")
    }
    for name in names {
      let module = String(name.dropLast(".bias".count))
      if let place = modules.products[module] {
        assembly.setBias(try assembly.take(name, shape: [place.outWidth]), at: place)
      } else if let slot = modules.norms[module] {
        assembly.setNormBias(try assembly.take(name, shape: [config.dModel]), slot: slot)
      }
    }
  }
}

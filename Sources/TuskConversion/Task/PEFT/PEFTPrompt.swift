import TuskFormat

/// What the settings of prompt learning say of the vectors, which are one tensor in all of its kinds.
struct PEFTVectors {
  static let name = "prompt_embeddings"

  /// P.
  let count: Int
  /// Halves of the model that the library means to prompt.
  let submoduleCount: Int

  init(_ directory: PEFTDirectory, width: Int) throws(ConversionError) {
    let settings = directory.settings
    count = try settings.integer("num_virtual_tokens", in: 1...4096)
    let required = directory.family.isEncoderOnly ? 1 : 2
    submoduleCount = try settings.integer("num_transformer_submodules", in: 1...2, default: required)
    guard submoduleCount == required else {
      throw settings.error("num_transformer_submodules", required: "\(required), as for a \(directory.family.title),")
    }
    if let tokenWidth = try settings.optionalInteger("token_dim"), tokenWidth != width {
      throw ConversionError(
        .mismatch, file: settings.file, subject: "token_dim",
        "found vectors of width \(tokenWidth); the backbone's is \(width)")
    }
  }
}

/// Prompt tuning, also with an encoder of the prompt (P-tuning), whose output is what is saved: vectors in front of the
/// encoder's word embeddings.
struct PEFTPrompt {
  private let vectors: PEFTVectors

  init(_ directory: PEFTDirectory, _ config: BackboneConfig) throws(ConversionError) {
    vectors = try PEFTVectors(directory, width: config.dModel)
  }

  /// For T5 the file has as many vectors again, which the library does not use.
  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let width = assembly.config.dModel
    let values = try assembly.take(PEFTVectors.name, shape: [vectors.count * vectors.submoduleCount, width])
    try assembly.addPrompt(
      count: vectors.count, embeddings: Array(values[..<(vectors.count * width)]), place: .front,
      stage: .wordEmbeddings)
  }
}

/// Prefix tuning: keys and values in front of those of the decoder's self-attention, or of an encoder's without decoder.
/// With a projection, its output is what is saved.
struct PEFTPrefix {
  private let vectors: PEFTVectors
  /// Layers that the vectors are made for: those of the encoder, where the halves of a model differ.
  private let layerCount: Int

  init(_ directory: PEFTDirectory, _ config: BackboneConfig) throws(ConversionError) {
    let settings = directory.settings
    guard directory.family != .roberta else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "peft_type",
        "found prefix tuning of a RoBERTa, which the library itself cannot run; T5 and BERT are supported")
    }
    layerCount = config.layerCount
    vectors = try PEFTVectors(directory, width: config.innerWidth)
    for (key, required) in [("num_layers", layerCount), ("num_attention_heads", config.headCount)] {
      if let found = try settings.optionalInteger(key), found != required {
        throw ConversionError(
          .mismatch, file: settings.file, subject: key, "found \(found); the backbone has \(required)")
      }
    }
    guard config.decoderLayerCount <= layerCount else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "peft_type",
        "found prefix tuning of a model with more layers in its decoder than in its encoder, which the library itself "
          + "cannot run")
    }
  }

  /// Row p of the tensor holds 2 L vectors: keys and values of the layers in turn. For a model of two halves the library
  /// repeats them and hands each layer four, of which it uses the first two: so layer i gets 4 i and 4 i + 1, counted
  /// round.
  func assemble(_ assembly: inout TaskAssembly) throws(ConversionError) {
    let config = assembly.config
    let values = try assembly.take(PEFTVectors.name, shape: [vectors.count, 2 * layerCount * config.innerWidth])
    let parts = KeysAndValues(values, layerCount: layerCount, width: config.innerWidth)
    for layer in 0..<(config.hasDecoder ? config.decoderLayerCount : layerCount) {
      let first = 2 * vectors.submoduleCount * layer % (2 * layerCount)
      try assembly.addPrefix(
        slot: config.slots.slot(config.hasDecoder ? .decoder : .encoder, .selfAttention, layer: layer),
        count: vectors.count, keys: parts[first], values: parts[first + 1],
        queryOffset: vectors.count)
    }
  }
}

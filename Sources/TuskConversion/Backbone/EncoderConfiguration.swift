import TuskFormat

/// The `config.json` of BERT or one of its family as a `BackboneConfig`.
enum EncoderConfiguration {
  /// - Parameter hasPooler: whether the checkpoint has one: the settings do not say.
  /// - Throws: `ConversionError`: `.unsupported` for another arithmetic, `.badSetting` for a value that is missing or
  ///   outside the ranges of `formats/packed-file.md`, checked before anything is sized by it.
  static func read(
    _ settings: Settings, _ family: ModelFamily, hasPooler: Bool, weights: WeightEncoding
  ) throws(ConversionError) -> BackboneConfig {
    try requireSupported(settings, family)
    let keys = Keys(family)
    let dModel = try settings.integer(keys.dModel, in: 1...65_536)
    let headCount = try settings.integer(keys.headCount, in: 1...1024)
    guard dModel % headCount == 0, dModel / headCount <= 4096 else {
      throw settings.error(keys.headCount, required: "a divisor of \(keys.dModel) \(dModel)")
    }
    let vocabularySize = try settings.integer("vocab_size", in: 1...16_777_216)
    let ids = 0...(vocabularySize - 1)
    let isRoberta = family.isRoberta
    let padId = try settings.integer("pad_token_id", in: ids, default: min(isRoberta ? 1 : 0, vocabularySize - 1))
    let maxPositions = try settings.integer("max_position_embeddings", in: 1...1_048_576, default: 512)
    // Positions of RoBERTa count from behind the padding's.
    let positionOffset = isRoberta ? padId + 1 : 0
    guard positionOffset < maxPositions else {
      throw settings.error("max_position_embeddings", required: "more than \(positionOffset)")
    }
    guard let activation = Activation(transformersName: try settings.optionalText(keys.activation) ?? "gelu") else {
      throw settings.error(keys.activation, required: Activation.supportedNames)
    }
    return BackboneConfig(
      encoderWith: dModel, dFF: try settings.integer(keys.dFF, in: 1...1_048_576), headCount: headCount,
      layerCount: try settings.integer(keys.layerCount, in: 1...1024), vocabularySize: vocabularySize,
      maxPositions: maxPositions, positionOffset: positionOffset,
      tokenTypeCount: family == .distilBert ? 0 : try settings.integer("type_vocab_size", in: 0...256, default: 2),
      normEpsilon: try normEpsilon(settings, family), activation: activation, hasPooler: hasPooler, padId: padId,
      separatorId: try separatorId(settings, isRoberta: isRoberta, ids: ids), weightEncoding: weights)
  }

  /// What the family calls the sizes.
  private struct Keys {
    let dModel, dFF, headCount, layerCount, activation: String

    init(_ family: ModelFamily) {
      let isDistilBert = family == .distilBert
      dModel = isDistilBert ? "dim" : "hidden_size"
      dFF = isDistilBert ? "hidden_dim" : "intermediate_size"
      headCount = isDistilBert ? "n_heads" : "num_attention_heads"
      layerCount = isDistilBert ? "n_layers" : "num_hidden_layers"
      activation = isDistilBert ? "activation" : "hidden_act"
    }
  }

  private static func requireSupported(_ settings: Settings, _ family: ModelFamily) throws(ConversionError) {
    if settings["quantization_config"] != nil {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "quantization_config",
        "the checkpoint is already quantized; one with floating-point weights is required")
    }
    for key in ["is_decoder", "add_cross_attention"] where try settings.bool(key, default: false) {
      throw ConversionError(
        .unsupported, file: settings.file, subject: key, "found true; a \(family.title) is run as an encoder only")
    }
    if family == .electra, let width = try settings.optionalInteger("embedding_size"),
      try settings.optionalInteger("hidden_size") != width
    {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "embedding_size",
        "found \(width), another width than hidden_size; an ELECTRA whose embeddings are projected is not supported")
    }
    let positions = try settings.optionalText("position_embedding_type") ?? "absolute"
    guard positions == "absolute" else {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "position_embedding_type",
        "found '\(positions.printable)'; only 'absolute' is supported")
    }
  }

  /// DistilBERT has no such setting: its class fixes the number.
  private static func normEpsilon(_ settings: Settings, _ family: ModelFamily) throws(ConversionError) -> Float {
    guard family != .distilBert, let value = settings["layer_norm_eps"] else { return 1e-12 }
    guard let epsilon = value.asDouble.map({ Float($0) }), epsilon > 0, epsilon.isFinite else {
      throw settings.error("layer_norm_eps", required: "a number above 0")
    }
    return epsilon
  }

  /// BERT's settings do not name it. The tokenizer knows which separator it writes; the record's says where a source
  /// may end, and 102 is that of the vocabularies BERT was published with.
  private static func separatorId(
    _ settings: Settings, isRoberta: Bool, ids: ClosedRange<Int>
  ) throws(ConversionError) -> Int {
    for key in ["sep_token_id", "eos_token_id"] where settings[key] != nil { return try settings.integer(key, in: ids) }
    return min(isRoberta ? 2 : 102, ids.upperBound)
  }
}

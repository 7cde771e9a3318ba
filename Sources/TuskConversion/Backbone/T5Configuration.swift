import TuskFormat

/// A T5 `config.json` as a `BackboneConfig`.
enum T5Configuration {
  /// - Throws: `ConversionError`: `.unsupported` for another kind of model, `.badSetting` for a value that is missing or
  ///   outside the ranges of `formats/packed-file.md`, checked before anything is sized by it.
  static func read(
    _ settings: Settings, weights: WeightEncoding
  ) throws(ConversionError) -> BackboneConfig {
    try requireSupported(settings)
    let feedForward = try feedForward(settings)
    let layerCount = try settings.integer("num_layers", in: 1...1024)
    let dModel = try settings.integer("d_model", in: 1...65_536)
    let vocabularySize = try settings.integer("vocab_size", in: 1...16_777_216)
    let bucketCount = try settings.integer("relative_attention_num_buckets", in: 4...4096, default: 32)
    guard bucketCount % 2 == 0 else {
      throw settings.error("relative_attention_num_buckets", required: "an even number")
    }
    let maxDistance = try settings.integer(
      "relative_attention_max_distance", in: 1...1_048_576, default: max(128, bucketCount))
    guard maxDistance > bucketCount / 2 else {
      throw settings.error("relative_attention_max_distance", required: "more than half the number of buckets")
    }
    let ids = 0...(vocabularySize - 1)
    let padId = try settings.integer("pad_token_id", in: ids, default: 0)
    let hasTiedHead = try settings.bool("tie_word_embeddings", default: true)
    return BackboneConfig(
      dModel: dModel, dFF: try settings.integer("d_ff", in: 1...1_048_576),
      dKV: try settings.integer("d_kv", in: 1...4096), headCount: try settings.integer("num_heads", in: 1...1024),
      layerCount: layerCount,
      decoderLayerCount: try settings.integer("num_decoder_layers", in: 1...1024, default: layerCount),
      vocabularySize: vocabularySize, bucketCount: bucketCount, maxDistance: maxDistance,
      normEpsilon: try normEpsilon(settings), activation: feedForward.activation, isGated: feedForward.isGated,
      hasTiedHead: hasTiedHead, logitScale: hasTiedHead ? Float(1 / Double(dModel).squareRoot()) : 1, padId: padId,
      eosId: try settings.integer("eos_token_id", in: ids, default: 1),
      decoderStartId: try settings.integer("decoder_start_token_id", in: ids, default: padId), weightEncoding: weights)
  }

  private static func requireSupported(_ settings: Settings) throws(ConversionError) {
    guard try ModelFamily(settings) == .t5 else { throw settings.error("model_type", required: "'t5'") }
    if settings["quantization_config"] != nil {
      throw ConversionError(
        .unsupported, file: settings.file, subject: "quantization_config",
        "the checkpoint is already quantized; one with floating-point weights is required")
    }
    for (key, required) in [("is_encoder_decoder", true), ("prefix_tuning", false)]
    where try settings.bool(key, default: required) != required {
      throw ConversionError(
        .unsupported, file: settings.file, subject: key, "found \(!required); only \(required) is supported")
    }
  }

  private static func normEpsilon(_ settings: Settings) throws(ConversionError) -> Float {
    guard let value = settings["layer_norm_epsilon"] else { return 1e-6 }
    guard let epsilon = value.asDouble.map({ Float($0) }), epsilon > 0, epsilon.isFinite else {
      throw settings.error("layer_norm_epsilon", required: "a number above 0")
    }
    return epsilon
  }

  /// `feed_forward_proj` is "ACT" or "gated-ACT", where transformers takes the "gelu" of "gated-gelu" for gelu_new.
  /// Newer files repeat the outcome as `dense_act_fn` and `is_gated_act`; if they say otherwise, versions of the library
  /// disagree about the model.
  private static func feedForward(
    _ settings: Settings
  ) throws(ConversionError) -> (activation: Activation, isGated: Bool) {
    let projection = try settings.optionalText("feed_forward_proj") ?? "relu"
    let isGated = projection.hasPrefix("gated-")
    let name = projection == "gated-gelu" ? "gelu_new" : String(projection.dropFirst(isGated ? "gated-".count : 0))
    guard let activation = Activation(transformersName: name) else {
      throw settings.error(
        "feed_forward_proj", required: "one of \(Activation.supportedNames), with or without 'gated-',")
    }
    if let repeated = try settings.optionalText("dense_act_fn"),
      Activation(transformersName: repeated) != activation
    {
      throw settings.error("dense_act_fn", required: "'\(name)', as feed_forward_proj '\(projection.printable)' says,")
    }
    guard try settings.bool("is_gated_act", default: isGated) == isGated else {
      throw settings.error("is_gated_act", required: "\(isGated), as feed_forward_proj '\(projection.printable)' says,")
    }
    return (activation, isGated)
  }
}

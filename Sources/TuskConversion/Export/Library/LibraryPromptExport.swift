import TuskFormat

/// Prefixes, flat, and prompts.
extension LibraryExport {
  mutating func addPrefixes() throws(ConversionError) {
    let config = request.config
    let count = contents.prefixes[0].part.tokenCount
    for (site, prefix) in contents.prefixes {
      guard prefix.tokenCount == count, prefix.queryOffset == 0 else {
        throw contents.inexpressible(
          .prefix, at: contents.place(of: site),
          "it has \(prefix.tokenCount) tokens, and queries count from \(prefix.queryOffset); the adapters library has as "
            + "many tokens everywhere, and queries count from 0")
      }
    }
    var leftOut: [JSONValue] = []
    var isThere: [String: Bool] = [:]
    for place in prefixPlaces {
      let parts = contents.prefixes.filter { $0.site.stack == place.stack && $0.site.subLayer == place.subLayer }
      let layers = parts.map(\.site.layer)
      let all = place.stack == .encoder ? config.layerCount : config.decoderLayerCount
      let missing = Set(0..<all).subtracting(layers).sorted()
      isThere[place.name] = !parts.isEmpty
      guard missing.isEmpty || parts.isEmpty || !config.hasDecoder else {
        throw contents.inexpressible(
          .prefix, at: contents.place(of: AdapterSite(stack: place.stack, subLayer: place.subLayer, layer: missing[0])),
          "there is none, but in other blocks there is; on a T5 the adapters library runs prefixes of all or none of them"
        )
      }
      // Of a T5 a switch leaves a stack out; only the decoder's own attention has none.
      if !config.hasDecoder || place.name == "self_prefix" {
        leftOut += missing.map { .integer((place.stack == .encoder ? 0 : config.layerCount) + $0) }
      }
      guard !parts.isEmpty else { continue }
      var rows: [Float] = []
      for row in 0..<count {
        for (_, prefix) in parts {
          for tensor in [prefix.keys, prefix.values] {
            rows += contents.values(tensor)[row * config.innerWidth..<(row + 1) * config.innerWidth]
          }
        }
      }
      add("prefix_tuning.prefix_tunings.\(name).\(place.name).control_trans", [rows.count], rows)
    }
    if let cross = isThere["cross_prefix"], cross, isThere["self_prefix"] == false {
      throw contents.inexpressible(
        .prefix, at: contents.place(of: contents.prefixes.first { $0.site.subLayer == .crossAttention }!.site),
        "the decoder's self-attention has none; the adapters library has none of cross-attention without it")
    }
    add([
      "architecture": .string("prefix_tuning"), "flat": .bool(true), "prefix_length": .integer(count),
      "encoder_prefix": .bool(isThere["encoder_prefix"] ?? true),
      "cross_prefix": .bool(isThere["cross_prefix"] ?? true),
      "leave_out": .array(leftOut), "bottleneck_size": .integer(512), "non_linearity": .string("tanh"),
      "dropout": .number(0), "use_gating": .bool(false), "shared_gating": .bool(true), "init_weights_seed": .null,
    ])
  }

  /// Attentions that may have a prefix, and what the library calls the tensor of all of a stack.
  private var prefixPlaces: [(name: String, stack: Stack, subLayer: SubLayer)] {
    switch request.family {
    case .t5:
      [
        ("encoder_prefix", .encoder, .selfAttention), ("self_prefix", .decoder, .selfAttention),
        ("cross_prefix", .decoder, .crossAttention),
      ]
    case .distilBert: [("self", .encoder, .selfAttention)]
    default: [("self_prefix", .encoder, .selfAttention)]
    }
  }

  mutating func addPrompt(_ prompt: TaskPrompt) throws(ConversionError) {
    guard request.family.isEncoderOnly else {
      throw contents.inexpressible(.prompt, at: nil, "the adapters library cannot run prompts on a T5")
    }
    guard prompt.stage == .embeddings, prompt.firstToken == 0 else {
      throw contents.inexpressible(
        .prompt, at: nil,
        "its vectors are word embeddings, to which positions and a norm come, or a head takes another row than the first; "
          + "those of the adapters library are embeddings that are finished, of which a head takes the first")
    }
    add(
      "prompt_tuning.prompt_tunings.\(name).prompt_embedding.weight", [prompt.tokenCount, request.config.dModel],
      contents.values(prompt.embeddings))
    add([
      "architecture": .string("prompt_tuning"), "prompt_length": .integer(prompt.tokenCount),
      "combine": .string(prompt.place == .front ? "prefix" : "prefix_after_bos"),
      "prompt_init": .string("random_uniform"), "prompt_init_text": .null, "init_weights_seed": .null,
    ])
  }
}

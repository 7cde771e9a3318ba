import TuskFormat

/// Norms, prefixes and prompts.
extension PEFTExport {
  /// LN_TUNING replaces a norm whole: what the task leaves alone is the backbone's.
  mutating func addNorms() {
    var parts: [Int: (weight: Int?, bias: Int?)] = [:]
    for (slot, tensor) in contents.norms { parts[slot, default: (nil, nil)].weight = tensor }
    for (slot, tensor) in contents.normBiases { parts[slot, default: (nil, nil)].bias = tensor }
    for (slot, part) in parts.sorted(by: { $0.key < $1.key }) {
      let module = modules.norm(slot: slot)
      var tensors = [("weight", part.weight)]
      if modules.hasNormBiases { tensors.append(("bias", part.bias)) }
      for (name, tensor) in tensors {
        let values = tensor.map(contents.values) ?? backboneVector("\(module).\(name)")
        add(module, ".ln_tuning_layers." + name, [values.count], values)
      }
    }
    set("target_modules", to: endings(of: parts.keys.map { modules.norm(slot: $0) }))
  }

  /// A vector of the backbone, which packs keep as float32.
  private func backboneVector(_ name: String) -> [Float] {
    let config = request.config
    let position = (0..<config.tensorCount).first { request.family.name(of: config.tensorSpec(at: $0)) == name }!
    let data = request.backbone.tensor(at: position).data
    return (0..<config.dModel).map { data.load(4 * $0, as: Float.self) }
  }

  mutating func addPrompt() throws(ConversionError) {
    let prompt = contents.prompt!
    // A T5 has neither positions nor a norm of embeddings.
    guard prompt.place == .front, prompt.firstToken == 0, prompt.stage == .wordEmbeddings || request.config.hasDecoder
    else {
      throw contents.inexpressible(
        .prompt, at: nil,
        "its vectors stand behind the first token or are embeddings that are finished, or a head takes another row than the "
          + "first; those of PEFT are word embeddings in front, to which positions and a norm come")
    }
    let vectors = contents.values(prompt.embeddings)
    addVectors(vectors, count: prompt.tokenCount, copies: request.family.isEncoderOnly ? 1 : 2)
    set("prompt_tuning_init", to: .string("RANDOM"))
    set("token_dim", to: .integer(request.config.dModel))
  }

  mutating func addPrefixes() throws(ConversionError) {
    let config = request.config
    let stack: Stack = config.hasDecoder ? .decoder : .encoder
    let layerCount = config.hasDecoder ? config.decoderLayerCount : config.layerCount
    let rule =
      "PEFT puts as many tokens in front of every self-attention of \(config.hasDecoder ? "the decoder" : "the encoder"), of "
      + "no other, and queries count from behind them"
    let count = contents.prefixes[0].part.tokenCount
    for (site, prefix) in contents.prefixes {
      guard site.stack == stack, site.subLayer == .selfAttention, prefix.tokenCount == count,
        prefix.queryOffset == count
      else { throw contents.inexpressible(.prefix, at: contents.place(of: site), rule) }
    }
    guard contents.prefixes.count == layerCount, layerCount <= config.layerCount else {
      throw contents.inexpressible(.prefix, at: nil, rule)
    }
    guard request.family != .roberta else {
      throw contents.inexpressible(.prefix, at: nil, "PEFT cannot run prefixes on a \(request.family.title)")
    }
    // Which of the vectors a layer gets, as the reading of the format says (`PEFTPrefix`).
    let submoduleCount = request.family.isEncoderOnly ? 1 : 2
    let slotCount = 2 * config.layerCount
    var vectors: [Int: [Float]] = [:]
    for (site, prefix) in contents.prefixes {
      let first = 2 * submoduleCount * site.layer % slotCount
      for (position, tensor) in [(first, prefix.keys), (first + 1, prefix.values)] {
        let values = contents.values(tensor)
        guard vectors.updateValue(values, forKey: position) ?? values == values else {
          throw contents.inexpressible(
            .prefix, at: contents.place(of: site),
            "PEFT gives this block of a T5 the vectors of another one, which the task's are not")
        }
      }
    }
    let width = config.innerWidth
    var rows: [Float] = []
    for row in 0..<count {
      for position in 0..<slotCount {
        rows +=
          vectors[position].map { Array($0[row * width..<(row + 1) * width]) } ?? [Float](repeating: 0, count: width)
      }
    }
    addVectors(rows, count: count, copies: 1)
    set("token_dim", to: .integer(width))
    set("prefix_projection", to: .bool(false))
    set("encoder_hidden_size", to: .integer(width))
  }

  /// For a T5 the library holds prompts for both halves, of which it uses the first.
  private mutating func addVectors(_ vectors: [Float], count: Int, copies: Int) {
    add(vectors: Array(repeating: vectors, count: copies).flatMap { $0 }, rows: count * copies)
    set("num_virtual_tokens", to: .integer(count))
    set("num_transformer_submodules", to: .integer(request.family.isEncoderOnly ? 1 : 2))
    set("num_attention_heads", to: .integer(request.config.headCount))
    set("num_layers", to: .integer(request.config.layerCount))
  }
}

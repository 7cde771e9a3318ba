import TuskFormat

/// Changes of products: LoRA with the model's biases, LoKr and IA3.
extension PEFTExport {
  mutating func addLoRA() throws(ConversionError) {
    var ranks = PEFTRanks()
    var adapted: Set<String> = []
    let hasBias = contents.products.contains { product in
      product.part.linear.map { contents.section.linear(at: $0).bias != nil } ?? false
    }
    for (slot, product) in contents.products {
      guard let index = product.linear else { continue }
      let linear = contents.section.linear(at: index)
      guard contents.isLowRank(linear), product.target != .head else {
        throw contents.inexpressible(
          .linear, at: place(product, slot: slot),
          "LoRA of PEFT is a product of two matrices, at linears of the blocks and the pooler, and a task has one kind")
      }
      let module = modules.product(product.target, slot: slot).name
      let (a, b) = contents.lowRankFactors(linear)
      add(module, ".lora_A.weight", [a.rows, a.columns], a.values)
      add(module, ".lora_B.weight", [b.rows, b.columns], b.values)
      if hasBias { add(module, ".lora_B.bias", [linear.outWidth], contents.bias(linear)) }
      ranks.add(module, rank: linear.factorRank, scaling: product.scaling)
      adapted.insert(module)
    }
    if adapted.isEmpty { addEmptyLoRA(&ranks, &adapted) }
    for (key, value) in ranks.settings(alphaKey: "lora_alpha") { set(key, to: value) }
    set("bias", to: .string(try addBiases(adapted)))
    set("target_modules", to: endings(of: adapted))
    if hasBias { set("lora_bias", to: .bool(true)) }
    set("lora_dropout", to: .number(0))
    set("init_lora_weights", to: .bool(true))
    for key in ["fan_in_fan_out", "use_rslora"] { set(key, to: .bool(false)) }
  }

  /// Biases alone are no kind of PEFT's; a LoRA that changes nothing carries them.
  private mutating func addEmptyLoRA(_ ranks: inout PEFTRanks, _ adapted: inout Set<String>) {
    let (module, place) = modules.product(.q, slot: 0)
    add(module, ".lora_A.weight", [1, place.inWidth], [Float](repeating: 0, count: place.inWidth))
    add(module, ".lora_B.weight", [place.outWidth, 1], [Float](repeating: 0, count: place.outWidth))
    ranks.add(module, rank: 1, scaling: 1)
    adapted.insert(module)
    addNote("PEFT saves biases beside a LoRA only: one of zeros was added at \(module)")
  }

  /// The biases that the task has in the place of the model's.
  /// - Returns: what the setting `bias` calls them.
  private mutating func addBiases(_ adapted: Set<String>) throws(ConversionError) -> String {
    var isEverywhere = !contents.normBiases.isEmpty
    var isAnywhere = isEverywhere
    for (slot, product) in contents.products {
      guard let bias = product.bias else { continue }
      guard request.config.hasBiases else {
        throw contents.inexpressible(
          .bias, at: place(product, slot: slot),
          "the model has no bias there, and PEFT adds none; the format authors does (BitFit)")
      }
      let values = contents.values(bias)
      let module = modules.product(product.target, slot: slot).name
      add(module, adapted.contains(module) ? ".base_layer.bias" : ".bias", [values.count], values)
      isAnywhere = true
      isEverywhere = isEverywhere || !adapted.contains(module)
    }
    for (slot, tensor) in contents.normBiases {
      guard modules.hasNormBiases else {
        throw contents.inexpressible(
          .normBias, at: contents.place(ofSlot: slot),
          "the model's norms have no bias, and PEFT adds none; the format authors does (BitFit)")
      }
      add(modules.norm(slot: slot), ".bias", [request.config.dModel], contents.values(tensor))
    }
    return isEverywhere ? "all" : isAnywhere ? "lora_only" : "none"
  }

  mutating func addLoKr() throws(ConversionError) {
    var ranks = PEFTRanks()
    var adapted: Set<String> = []
    let factor = try decomposition()
    for (slot, product) in contents.products {
      let linear = contents.section.linear(at: product.linear!)
      let module = modules.product(product.target, slot: slot).name
      let rule = Matrix(
        rows: linear.inBlocks, columns: linear.outBlocks, values: contents.values(linear.rule!)
      ).transposed
      add(module, ".lokr_w1", [rule.rows, rule.columns], rule.values)
      let (rows, columns) = (linear.outWidth / linear.outBlocks, linear.inWidth / linear.inBlocks)
      // From here on the library keeps the operand whole.
      let wholeRank = (max(rows, columns) + 1) / 2
      let whole: Matrix
      if let full = linear.full {
        whole = Matrix(rows: columns, columns: rows, values: contents.values(full)).transposed
      } else {
        let left = Matrix(rows: columns, columns: linear.factorRank, values: contents.values(linear.leftFactor!))
        let right = Matrix(rows: linear.factorRank, columns: rows, values: contents.values(linear.rightFactor!))
        if linear.factorRank < wholeRank {
          add(module, ".lokr_w2_a", [rows, linear.factorRank], right.transposed.values)
          add(module, ".lokr_w2_b", [linear.factorRank, columns], left.transposed.values)
          ranks.add(module, rank: linear.factorRank, scaling: product.scaling)
          adapted.insert(module)
          continue
        }
        whole = (left * right).transposed
      }
      add(module, ".lokr_w2", [rows, columns], whole.values)
      ranks.add(module, rank: wholeRank, scaling: product.scaling)
      adapted.insert(module)
    }
    for (key, value) in ranks.settings(alphaKey: "alpha") { set(key, to: value) }
    set("target_modules", to: endings(of: adapted))
    set("decompose_factor", to: .integer(factor))
    set("decompose_both", to: .bool(false))
    set("init_weights", to: .bool(true))
    for key in ["rank_dropout", "module_dropout"] { set(key, to: .number(0)) }
  }

  /// The setting by which the library arrives at the blocks of every product.
  private func decomposition() throws(ConversionError) -> Int {
    var factors = [-1]
    for (slot, product) in contents.products {
      let linear = contents.section.linear(at: product.linear!)
      guard linear.phmDim == 1, linear.rule != nil, linear.bias == nil, product.target != .head else {
        throw contents.inexpressible(
          .linear, at: place(product, slot: slot),
          "LoKr of PEFT is one Kronecker product without a bias, at linears of the blocks and the pooler, and a task has one "
            + "kind")
      }
      factors += [linear.inBlocks, linear.outBlocks]
    }
    func fits(_ product: TaskProduct, _ factor: Int) -> Bool {
      let linear = contents.section.linear(at: product.linear!)
      return Self.blocks(linear.inWidth, factor) == linear.inBlocks
        && Self.blocks(linear.outWidth, factor) == linear.outBlocks
    }
    if let factor = factors.first(where: { factor in contents.products.allSatisfy { fits($0.part, factor) } }) {
      return factor
    }
    let (slot, product) = contents.products.first { !fits($0.part, -1) }!
    let linear = contents.section.linear(at: product.linear!)
    throw contents.inexpressible(
      .linear, at: place(product, slot: slot),
      "it has \(linear.inBlocks) x \(linear.outBlocks) blocks, to which no decompose_factor of PEFT leads together with the "
        + "others")
  }

  /// Blocks of a dimension: `factor` if it divides, else the largest divisor that is at most its root and `factor`.
  /// - Parameter factor: -1 sets no bound.
  /// - Source: `factorization` in peft/tuners/lokr/layer.py
  private static func blocks(_ dimension: Int, _ factor: Int) -> Int {
    if factor > 0 && dimension % factor == 0 { return factor }
    var blocks = 1
    var candidate = 2
    while candidate * candidate <= dimension && (factor == -1 || candidate <= factor) {
      if dimension % candidate == 0 { blocks = candidate }
      candidate += 1
    }
    return blocks
  }

  mutating func addScales() throws(ConversionError) {
    var inputs: [String] = []
    var outputs: [String] = []
    for (slot, product) in contents.products {
      let module = modules.product(product.target, slot: slot).name
      guard product.inputScale == nil || product.outputScale == nil, product.target != .head else {
        throw contents.inexpressible(
          .scale, at: place(product, slot: slot),
          "IA3 of PEFT scales either what enters a linear or what comes out, and not the head")
      }
      if let scale = product.inputScale {
        let values = contents.values(scale)
        add(module, ".ia3_l", [1, values.count], values)
        inputs.append(module)
      } else if let scale = product.outputScale {
        let values = contents.values(scale)
        add(module, ".ia3_l", [values.count, 1], values)
        outputs.append(module)
      }
    }
    let endings = (inputs: endings(of: inputs), outputs: endings(of: outputs))
    guard case .array(let first) = endings.inputs, case .array(let second) = endings.outputs else { return }
    set("feedforward_modules", to: endings.inputs)
    set("target_modules", to: .array(second + first))
    set("fan_in_fan_out", to: .bool(false))
    set("init_ia3_weights", to: .bool(true))
  }
}

/// Ranks and scales of modules as the settings say them: the commonest for all, and the others by name.
struct PEFTRanks {
  private var modules: [(name: String, rank: Int, alpha: JSONValue)] = []

  mutating func add(_ module: String, rank: Int, scaling: Float) {
    modules.append((module, rank, PEFTNumber.alpha(scaling, rank: rank)))
  }

  /// - Precondition: there is a module.
  func settings(alphaKey: String) -> [String: JSONValue] {
    let rank = commonest(modules.map { JSONValue.integer($0.rank) })
    let alpha = commonest(modules.map(\.alpha))
    var ranks: [String: JSONValue] = [:]
    var alphas: [String: JSONValue] = [:]
    for module in modules {
      // They are regular expressions.
      let pattern = module.name.replacing(".", with: "\\.")
      if .integer(module.rank) != rank { ranks[pattern] = .integer(module.rank) }
      if module.alpha != alpha { alphas[pattern] = module.alpha }
    }
    return ["r": rank, alphaKey: alpha, "rank_pattern": .object(ranks), "alpha_pattern": .object(alphas)]
  }

  /// The first of those that occur most often.
  private func commonest(_ values: [JSONValue]) -> JSONValue {
    var best = values[0]
    var bestCount = 0
    for value in values {
      let count = values.count { $0 == value }
      if count > bestCount { (best, bestCount) = (value, count) }
    }
    return best
  }
}

import TuskFormat

/// LoRA and (IA)3: one configuration for all products that are changed.
extension LibraryExport {
  mutating func addProducts() throws(ConversionError) {
    let scales = contents.products[0].part.linear == nil
    for (slot, product) in contents.products {
      guard (product.linear == nil) == scales, product.linear == nil || product.outputScale == nil else {
        throw contents.inexpressible(
          scales ? .linear : .scale, at: "\(product.target.name) of \(contents.place(ofSlot: slot))",
          "the task has both LoRA and scaled products, of which an adapter of the adapters library has only one")
      }
    }
    let targets = try productTargets(scales ? .scale : .linear)
    let (rank, alpha) = scales ? (1, JSONValue.integer(1)) : try rankAndAlpha()
    var config = targets
    config["architecture"] = .string("lora")
    config["composition_mode"] = .string(scales ? "scale" : "add")
    config["r"] = .integer(rank)
    config["alpha"] = alpha
    config["init_weights"] = .string(scales ? "ia3" : "lora")
    config["dropout"] = .number(0)
    for key in ["use_gating", "use_dora"] { config[key] = .bool(false) }
    for key in ["init_weights_seed", "vera_d", "vera_b", "dtype"] { config[key] = .null }
    add(config)
    let modules = BackboneModules(request.family, request.config)
    for (slot, product) in contents.products {
      let prefix = modules.product(product.target, slot: slot).name + ".loras.\(name)."
      if let index = product.linear {
        let (a, b) = contents.lowRankFactors(contents.section.linear(at: index))
        add(prefix + "lora_A", [a.rows, a.columns], a.values)
        add(prefix + "lora_B", [b.rows, b.columns], b.values)
      } else if let scale = product.outputScale {
        let values = contents.values(scale)
        add(prefix + "lora_B", [values.count, 1], values)
      }
    }
  }

  private func rankAndAlpha() throws(ConversionError) -> (rank: Int, alpha: JSONValue) {
    var known: (rank: Int, scaling: Float)?
    for (slot, product) in contents.products {
      let linear = contents.section.linear(at: product.linear!)
      let place = "\(product.target.name) of \(contents.place(ofSlot: slot))"
      guard contents.isLowRank(linear), linear.bias == nil else {
        throw contents.inexpressible(
          .linear, at: place, "LoRA of the adapters library is a product of two matrices without a bias")
      }
      guard (linear.factorRank, product.scaling) == known ?? (linear.factorRank, product.scaling) else {
        throw contents.inexpressible(
          .linear, at: place,
          "its rank \(linear.factorRank) or scale \(product.scaling) is not that of others; LoRA of the adapters library "
            + "has one rank and one alpha")
      }
      known = (linear.factorRank, product.scaling)
    }
    return (known!.rank, PEFTNumber.alpha(known!.scaling, rank: known!.rank))
  }

  /// Which products are changed: the same of every attention, and of every feed-forward.
  private func productTargets(_ part: TaskContents.Part) throws(ConversionError) -> [String: JSONValue] {
    let intermediate: ProductTarget = request.config.isGated ? .wi1 : .wi
    var parts: [(AdapterSite, Product)] = []
    for (slot, product) in contents.products {
      guard let site = contents.site(ofSlot: slot), [.q, .k, .v, intermediate, .wo].contains(product.target),
        product.inputScale == nil
      else {
        throw contents.inexpressible(
          part, at: "\(product.target.name) of \(contents.place(ofSlot: slot))",
          "LoRA and (IA)3 of the adapters library change the outputs of q, k and v of attention, and of "
            + "\(intermediate.name) and wo of a feed-forward, no others")
      }
      parts.append((site, Product(subLayer: site.subLayer, target: product.target)))
    }
    let attention = Set(parts.map(\.1).filter { $0.subLayer != .feedForward }.map(\.target))
    let feedForward = Set(parts.map(\.1).filter { $0.subLayer == .feedForward }.map(\.target))
    var leftOut: [JSONValue] = []
    for block in BlockParts(parts, request.config).blocks {
      guard !block.parts.isEmpty else {
        leftOut.append(.integer(block.number))
        continue
      }
      for subLayer in SubLayer.allCases where block.stack == .decoder || subLayer != .crossAttention {
        for target in subLayer == .feedForward ? feedForward : attention
        where !block.parts.contains(Product(subLayer: subLayer, target: target)) {
          let site = AdapterSite(stack: block.stack, subLayer: subLayer, layer: block.layer)
          throw contents.inexpressible(
            part, at: "\(target.name) of \(contents.place(of: site))",
            "there is none, but elsewhere there is; the adapters library changes the same products of every attention and "
              + "of every feed-forward")
        }
      }
    }
    return [
      "selfattn_lora": .bool(!attention.isEmpty), "intermediate_lora": .bool(feedForward.contains(intermediate)),
      "output_lora": .bool(feedForward.contains(.wo)), "leave_out": .array(leftOut),
      "attn_matrices": .array([.q, .k, .v].filter(attention.contains).map { .string("\($0.name)") }),
    ]
  }

  private struct Product: Hashable {
    let subLayer: SubLayer
    let target: ProductTarget
  }
}

/// Parts by the block they are in, for every block of a backbone in the library's order.
struct BlockParts<Part: Hashable> {
  let blocks: [(number: Int, stack: Stack, layer: Int, parts: Set<Part>)]

  init(_ parts: [(site: AdapterSite, part: Part)], _ config: BackboneConfig) {
    blocks = (0..<config.layerCount + config.decoderLayerCount).map { number in
      let stack: Stack = number < config.layerCount ? .encoder : .decoder
      let layer = stack == .encoder ? number : number - config.layerCount
      let own = parts.filter { $0.site.stack == stack && $0.site.layer == layer }.map(\.part)
      return (number, stack, layer, Set(own))
    }
  }
}

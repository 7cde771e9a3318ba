import TuskFormat

/// The parts of a packed task, each with its place in the backbone.
struct TaskContents {
  let section: TaskSection
  let config: BackboneConfig
  /// The task's file, for errors.
  let file: String
  private(set) var adapters: [(site: AdapterSite, part: TaskAdapter)] = []
  private(set) var prefixes: [(site: AdapterSite, part: TaskPrefix)] = []
  private(set) var products: [(slot: Int, part: TaskProduct)] = []
  private(set) var prompt: TaskPrompt?
  /// Tensors [D] in the place of norm weights.
  private(set) var norms: [(slot: Int, tensor: Int)] = []
  private(set) var normBiases: [(slot: Int, tensor: Int)] = []
  private let sites: [Int: AdapterSite]

  /// What a format may have a form for.
  enum Part: String {
    case adapter
    case linear = "change of a product"
    case scale = "scale of a product"
    case bias = "bias of a product"
    case prefix
    case prompt
    case norm
    case normBias = "bias of a norm"
    case head
  }

  /// - Precondition: `section` fits the backbone of `config`.
  init(_ section: TaskSection, _ config: BackboneConfig, file: String) {
    self.section = section
    self.config = config
    self.file = file
    let layout = config.slots
    let all = AdapterSite.all(in: config)
    sites = Dictionary(
      uniqueKeysWithValues: all.map { (layout.slot($0.stack, $0.subLayer, layer: $0.layer), $0) })
    for position in 0..<layout.count {
      let slot = section.slot(at: position)
      if let tensor = slot.normTensor { norms.append((position, tensor)) }
      if let tensor = slot.normBiasTensor { normBiases.append((position, tensor)) }
      for attachment in slot.attachments {
        switch section.attachment(at: attachment) {
        case .adapter(let part): adapters.append((sites[position]!, part))
        case .product(let part): products.append((position, part))
        case .prefix(let part): prefixes.append((sites[position]!, part))
        case .prompt(let part): prompt = part
        }
      }
    }
  }

  /// Checks that the task has no parts but `allowed`.
  /// - Parameter rule: what the format has instead, a sentence.
  /// - Throws: `.inexpressible` naming the first other part.
  func requireOnly(_ allowed: Set<Part>, _ rule: String) throws(ConversionError) {
    for (part, place) in parts where !allowed.contains(part) {
      throw inexpressible(part, at: place, rule)
    }
  }

  /// - Parameter place: as `place(ofSlot:)` gives it; nil for what has only one.
  func inexpressible(_ part: Part, at place: String?, _ sentence: String) -> ConversionError {
    ConversionError(
      .inexpressible, file: file, subject: place.map { "\(part.rawValue) at \($0)" } ?? part.rawValue, sentence)
  }

  /// nil at the ends and the start.
  func site(ofSlot slot: Int) -> AdapterSite? { sites[slot] }

  /// What people call a slot.
  func place(ofSlot slot: Int) -> String {
    if let site = sites[slot] { return place(of: site) }
    let layout = config.slots
    return slot == layout.encoderEnd
      ? "the encoder's end" : slot == layout.decoderEnd ? "the decoder's end" : "the start"
  }

  func place(of site: AdapterSite) -> String {
    let subLayer =
      switch site.subLayer {
      case .selfAttention: "self-attention"
      case .crossAttention: "cross-attention"
      case .feedForward: "feed-forward"
      }
    return "\(site.stack == .encoder ? "encoder" : "decoder") block \(site.layer), \(subLayer)"
  }

  /// Of a block, counted through encoder and decoder as the `adapters` library does.
  func layer(of site: AdapterSite) -> Int { (site.stack == .encoder ? 0 : config.layerCount) + site.layer }

  /// Every part in the order of the slots, the head last.
  private var parts: [(part: Part, place: String?)] {
    var parts: [(slot: Int, part: Part)] = norms.map { ($0.slot, .norm) }
    parts += normBiases.map { ($0.slot, .normBias) }
    for (site, _) in adapters { parts.append((slot(of: site), .adapter)) }
    for (site, _) in prefixes { parts.append((slot(of: site), .prefix)) }
    for (slot, product) in products {
      if product.linear != nil { parts.append((slot, .linear)) }
      if product.inputScale != nil || product.outputScale != nil { parts.append((slot, .scale)) }
      if product.bias != nil { parts.append((slot, .bias)) }
    }
    var named: [(part: Part, place: String?)] = parts.sorted { $0.slot < $1.slot }
      .map { ($0.part, place(ofSlot: $0.slot)) }
    if prompt != nil { named.append((.prompt, nil)) }
    if section.hasHead { named.append((.head, nil)) }
    return named
  }

  private func slot(of site: AdapterSite) -> Int { config.slots.slot(site.stack, site.subLayer, layer: site.layer) }
}

extension TaskContents {
  func values(_ tensor: Int) -> [Float] { section.values(of: tensor) }

  /// The matrix of a dense linear as PyTorch's Linear stores it: [out, in], row-major.
  /// - Precondition: the linear has `full` of one term, or codes.
  func denseWeight(_ linear: TaskLinear) -> [Float] {
    if let full = linear.full {
      return values(full).transposed(rows: linear.inWidth, columns: linear.outWidth)
    }
    let codes = section.tensor(at: linear.codes!).data
    let scales = values(linear.scales!)
    let stride = linear.inWidth.roundedUp(to: Container.rowAlignment)
    var weight: [Float] = []
    weight.reserveCapacity(linear.outWidth * linear.inWidth)
    for row in 0..<linear.outWidth {
      for column in 0..<linear.inWidth {
        weight.append(scales[row] * Float(codes.load(row * stride + column, as: Int8.self)))
      }
    }
    return weight
  }

  /// Whether a linear is a product of two matrices and nothing more.
  func isLowRank(_ linear: TaskLinear) -> Bool {
    (linear.phmDim, linear.inBlocks, linear.outBlocks) == (1, 1, 1) && linear.factorRank > 0 && linear.rule == nil
      && linear.ruleLeft == nil
  }

  /// The matrices of LoRA, [R, in] and [out, R].
  /// - Precondition: `isLowRank(linear)`.
  func lowRankFactors(_ linear: TaskLinear) -> (a: Matrix, b: Matrix) {
    let left = Matrix(rows: linear.inWidth, columns: linear.factorRank, values: values(linear.leftFactor!))
    let right = Matrix(rows: linear.factorRank, columns: linear.outWidth, values: values(linear.rightFactor!))
    return (left.transposed, right.transposed)
  }

  /// The bias of a linear; zeros where it has none.
  func bias(_ linear: TaskLinear) -> [Float] {
    linear.bias.map(values) ?? [Float](repeating: 0, count: linear.outWidth)
  }
}

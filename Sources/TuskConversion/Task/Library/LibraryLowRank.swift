import TuskFormat

/// LoRA and (IA)3 of the `adapters` library: a product of two matrices added to a linear, or a vector that its output is
/// multiplied by.
struct LibraryLowRank {
  private let settings: Settings
  private let scales: Bool
  private let rank: Int
  private let scaling: Float
  private let leftOut: Set<Int>
  private let attentionTargets: [ProductTarget]
  private let hasIntermediate: Bool
  private let hasOutput: Bool

  private static let keys: Set<String> = [
    "architecture", "selfattn_lora", "intermediate_lora", "output_lora", "leave_out", "r", "alpha", "attn_matrices",
    "composition_mode", "dtype",
  ]
  private static let trainingKeys: Set<String> = ["dropout", "init_weights", "init_weights_seed"]
  private static let vera = "VeRA (vera_d, vera_b), whose matrices are random numbers of a seed, is not supported"
  private static let refused = [
    "use_gating": "gated LoRA is not supported: the gate averages over all positions of a text",
    "use_dora": "DoRA, which scales each row of the changed matrix to a length of its own, is not supported",
    "vera_d": vera,
    "vera_b": vera,
  ]

  init(_ settings: Settings) throws(ConversionError) {
    try settings.requireKnown(Self.keys.union(Self.trainingKeys), refused: Self.refused)
    self.settings = settings
    switch try settings.optionalText("composition_mode") {
    case nil, "add": scales = false
    case "scale": scales = true
    default: throw settings.error("composition_mode", required: "add or scale")
    }
    rank = try settings.integer("r", in: 1...(scales ? 1 : 65_536))
    guard let alpha = settings["alpha"]?.asDouble, Float(alpha).isFinite else {
      throw settings.error("alpha", required: "a number")
    }
    scaling = Float(scales ? alpha : alpha / Double(rank))
    leftOut = Set(try settings.optionalIntegers("leave_out") ?? [])
    attentionTargets = try settings.bool("selfattn_lora", default: true) ? try Self.attentionTargets(settings) : []
    hasIntermediate = try settings.bool("intermediate_lora", default: false)
    hasOutput = try settings.bool("output_lora", default: false)
  }

  private static func attentionTargets(_ settings: Settings) throws(ConversionError) -> [ProductTarget] {
    guard case .array(let elements)? = settings["attn_matrices"] else {
      throw settings.error("attn_matrices", required: "a list of q, k and v")
    }
    let known: [String: ProductTarget] = ["q": .q, "k": .k, "v": .v]
    var targets: [ProductTarget] = []
    for element in elements {
      guard let target = element.asText.flatMap({ known[$0] }) else {
        throw settings.error("attn_matrices", required: "a list of q, k and v")
      }
      if !targets.contains(target) { targets.append(target) }
    }
    return targets
  }

  /// Of a gated feed-forward the library adapts the linear without activation only.
  private func targets(_ subLayer: SubLayer, isGated: Bool) -> [ProductTarget] {
    switch subLayer {
    case .selfAttention, .crossAttention: attentionTargets
    case .feedForward: (hasIntermediate ? [isGated ? .wi1 : .wi] : []) + (hasOutput ? [.wo] : [])
    }
  }

  func assemble(_ assembly: inout TaskAssembly, _ task: LibraryTask) throws(ConversionError) {
    let config = assembly.config
    let modules = BackboneModules(task.family, config)
    for site in AdapterSite.all(in: config, leavingOut: leftOut) {
      let slot = config.slots.slot(site.stack, site.subLayer, layer: site.layer)
      for target in targets(site.subLayer, isGated: config.isGated) {
        let (name, place) = modules.product(target, slot: slot)
        try add(name + ".loras.\(task.name).", place, to: &assembly)
      }
    }
  }

  private func add(_ prefix: String, _ place: ProductPlace, to assembly: inout TaskAssembly) throws(ConversionError) {
    if scales {
      let values = try assembly.take(prefix + "lora_B", shape: [place.outWidth, 1])
      assembly.setOutputScale(values.map { $0 * scaling }, at: place)
      return
    }
    guard rank <= max(place.inWidth, place.outWidth) else {
      throw settings.error("r", required: "a rank that is no larger than the widths of the linear")
    }
    assembly.addLowRank(
      at: place, a: try assembly.take(prefix + "lora_A", shape: [rank, place.inWidth]),
      b: try assembly.take(prefix + "lora_B", shape: [place.outWidth, rank]), rank: rank, scaling: scaling)
  }
}

import TuskFormat

/// Prefix tuning of the `adapters` library: keys and values for each attention, stored as they are or as a network that
/// makes them, which is evaluated here.
struct LibraryPrefix {
  private let settings: Settings
  /// P.
  private let count: Int
  private let activation: Activation
  private let leftOut: Set<Int>
  private let inEncoder: Bool
  private let inCrossAttention: Bool

  private static let keys: Set<String> = [
    "architecture", "encoder_prefix", "cross_prefix", "leave_out", "flat", "prefix_length", "bottleneck_size",
    "non_linearity",
  ]
  private static let trainingKeys: Set<String> = ["dropout", "init_weights_seed", "shared_gating"]

  init(_ settings: Settings) throws(ConversionError) {
    try settings.requireKnown(
      Self.keys.union(Self.trainingKeys),
      refused: ["use_gating": "gated prefixes are not supported: the gate averages over all positions of a text"])
    self.settings = settings
    count = try settings.integer("prefix_length", in: 1...4096)
    leftOut = Set(try settings.optionalIntegers("leave_out") ?? [])
    inEncoder = try settings.bool("encoder_prefix", default: true)
    inCrossAttention = try settings.bool("cross_prefix", default: true)
    guard let activation = Activation(transformersName: try settings.optionalText("non_linearity") ?? "tanh") else {
      throw settings.error("non_linearity", required: Activation.supportedNames)
    }
    self.activation = activation
  }

  func assemble(_ assembly: inout TaskAssembly, _ task: LibraryTask) throws(ConversionError) {
    let config = assembly.config
    var places: [(name: String, stack: Stack, subLayer: SubLayer)] = []
    switch task.family {
    case .t5:
      if inEncoder { places.append(("encoder_prefix", .encoder, .selfAttention)) }
      places.append(("self_prefix", .decoder, .selfAttention))
      if inCrossAttention { places.append(("cross_prefix", .decoder, .crossAttention)) }
    case .distilBert: places.append(("self", .encoder, .selfAttention))
    case .bert, .roberta, .xlmRoberta, .camembert, .electra: places.append(("self_prefix", .encoder, .selfAttention))
    }
    for place in places {
      let all = place.stack == .encoder ? 0..<config.layerCount : 0..<config.decoderLayerCount
      let first = place.stack == .encoder ? 0 : config.layerCount
      let layers = all.filter { !leftOut.contains(first + $0) }
      guard layers.count == all.count || layers.isEmpty || config.positionScheme == .learned else {
        throw ConversionError(
          .unsupported, file: settings.file, subject: "leave_out",
          "found some blocks of a T5's stack: the library then runs the others without their relative positions; all or "
            + "none of a stack are supported")
      }
      guard !layers.isEmpty else { continue }
      let values = try keysAndValues(task, place.name, layerCount: layers.count, &assembly)
      let parts = KeysAndValues(values, layerCount: layers.count, width: config.innerWidth)
      for (position, layer) in layers.enumerated() {
        try assembly.addPrefix(
          slot: config.slots.slot(place.stack, place.subLayer, layer: layer), count: count,
          keys: parts[2 * position], values: parts[2 * position + 1], queryOffset: 0)
      }
    }
  }

  /// [P, 2 layers, H K]: of each layer keys, then values. The library stores them once for the model and once more for
  /// every layer. Ejecting a prefix leaves `flat` false in the settings, so that the tensors tell which form it is.
  private func keysAndValues(
    _ task: LibraryTask, _ place: String, layerCount: Int, _ assembly: inout TaskAssembly
  ) throws(ConversionError) -> [Float] {
    let config = assembly.config
    let width = 2 * layerCount * config.innerWidth
    let prefix = "prefix_tunings.\(task.name).\(place)."
    func take(_ name: String, _ shape: [Int]) throws(ConversionError) -> [Float] {
      try assembly.ledger.takeCopies(endingWith: prefix + name, shape: shape)
    }
    if assembly.ledger.names.contains(where: { $0.hasSuffix(prefix + "control_trans") }) {
      return try take("control_trans", [count * width])
    }
    let hidden = try settings.integer("bottleneck_size", in: 1...1_048_576, default: 512)
    let embedding = Matrix(
      rows: count, columns: config.dModel, values: try take("wte.weight", [count, config.dModel]))
    let first = Matrix(
      rows: hidden, columns: config.dModel, values: try take("control_trans.0.weight", [hidden, config.dModel]))
    let firstBias = try take("control_trans.0.bias", [hidden])
    let second = Matrix(rows: width, columns: hidden, values: try take("control_trans.2.weight", [width, hidden]))
    let secondBias = try take("control_trans.2.bias", [width])
    return embedding.linear(first, firstBias).activated(activation).linear(second, secondBias).values
  }
}

extension Matrix {
  /// `self weight^T + bias`, as PyTorch's Linear computes it; sums in float64.
  fileprivate func linear(_ weight: Matrix, _ bias: [Float]) -> Matrix {
    precondition(columns == weight.columns && bias.count == weight.rows, "the linear does not fit")
    var result = [Float](repeating: 0, count: rows * weight.rows)
    values.withUnsafeBufferPointer { x in
      weight.values.withUnsafeBufferPointer { weights in
        for row in 0..<rows {
          for out in 0..<weight.rows {
            var sum = Double(bias[out])
            for column in 0..<columns {
              sum += Double(x[row * columns + column]) * Double(weights[out * columns + column])
            }
            result[row * weight.rows + out] = Float(sum)
          }
        }
      }
    }
    return Matrix(rows: rows, columns: weight.rows, values: result)
  }

  fileprivate func activated(_ activation: Activation) -> Matrix {
    Matrix(rows: rows, columns: columns, values: values.map { activation($0) })
  }
}

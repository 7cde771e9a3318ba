import TuskFormat

/// A sub-layer of one block.
struct AdapterSite {
  let stack: Stack
  let subLayer: SubLayer
  let layer: Int

  /// Index among the layers of a T5 block.
  var layerOfBlock: Int {
    switch subLayer {
    case .selfAttention: 0
    case .crossAttention: 1
    case .feedForward: stack == .encoder ? 1 : 2
    }
  }

  /// How both dialects begin the names of this site's tensors on T5.
  var t5Prefix: String { "\(stack == .encoder ? "encoder" : "decoder").block.\(layer).layer.\(layerOfBlock)." }
}

extension AdapterSite {
  /// Every sub-layer of a backbone, but for those of the blocks `leftOut`, counted through encoder and decoder.
  static func all(in config: BackboneConfig, leavingOut leftOut: Set<Int> = []) -> [AdapterSite] {
    var sites: [AdapterSite] = []
    for (stack, count, first) in [
      (Stack.encoder, config.layerCount, 0), (.decoder, config.decoderLayerCount, config.layerCount),
    ] {
      for layer in 0..<count where !leftOut.contains(first + layer) {
        for subLayer in SubLayer.allCases where stack == .decoder || subLayer != .crossAttention {
          sites.append(AdapterSite(stack: stack, subLayer: subLayer, layer: layer))
        }
      }
    }
    return sites
  }
}

/// What a linear of an adapter is made of, and where its dialect keeps the parts.
struct LinearSource {
  enum Form {
    /// A sum of `phmDim` Kronecker products; `rank` is nil where the right operands are stored whole.
    case kronecker(phmDim: Int, rank: Int?, hasFactorizedRule: Bool)
    /// A matrix as PyTorch's Linear stores it, [out, in].
    case dense
    /// A product of a column and a row.
    case rankOne
  }

  let form: Form
  let inWidth: Int
  let outWidth: Int
  let hasBias: Bool
  /// Begins the names of the tensors that are this linear's alone.
  let prefix: String
  /// Begins the names of the rule all linears share; nil if each has its own.
  let sharedRulePrefix: String?
  /// Begins the names of the factors all linears of this direction share, `W_down` or `W_up`; nil if each has its own.
  let sharedWeight: String?
}

/// What an adapter computes beside its linears.
struct AdapterRules {
  enum Scaling {
    case constant(Float)
    /// A tensor [1].
    case learned
    /// A tensor [D].
    case channel
  }

  var activation: Activation
  var inputRule: InputRule
  var skipRule: SkipRule
  var addsStream: Bool
  var normsSkip = false
  var scaling: Scaling
}

/// Moves tensors from a source into a task section, shared ones once.
struct TaskAssembly {
  /// Of torch's LayerNorm, which both dialects leave at its default.
  static let normEpsilon: Float = 1e-5

  var ledger: TensorLedger
  var builder: TaskBuilder
  let config: BackboneConfig
  /// Of the dense linears of adapters.
  private let weights: WeightEncoding
  /// What rounding them did.
  private(set) var rounding = RoundingError()
  private var shared: [String: (tensor: Int, values: [Float])] = [:]
  /// A slot has one attachment for each product, so its parts are collected first.
  private var products: [ProductPlace: TaskProduct] = [:]

  init(
    _ ledger: TensorLedger, config: BackboneConfig, builder: TaskBuilder, weights: WeightEncoding = .float32
  ) {
    self.ledger = ledger
    self.config = config
    self.builder = builder
    self.weights = weights
  }

  /// Puts an adapter at `site`. Norms and scaling are given by what begins or makes up the names of their tensors.
  mutating func addAdapter(
    at site: AdapterSite, _ rules: AdapterRules, down: LinearSource, up: LinearSource, normBefore: String?,
    normBeforeCopy: String? = nil, normAfter: String?, scalingName: String, gate: String? = nil
  ) throws(ConversionError) {
    var attachment = TaskAdapter(
      activation: rules.activation, inputRule: rules.inputRule, skipRule: rules.skipRule,
      addsStream: rules.addsStream, normsSkip: rules.normsSkip, bottleneckWidth: down.outWidth, scaling: 1,
      normEpsilon: Self.normEpsilon, down: try addLinear(down, weights), up: try addLinear(up, weights))
    if let normBefore {
      (attachment.normBeforeWeight, attachment.normBeforeBias) = try addNorm(normBefore, copy: normBeforeCopy)
    }
    if let normAfter { (attachment.normAfterWeight, attachment.normAfterBias) = try addNorm(normAfter, copy: nil) }
    switch rules.scaling {
    case .constant(let value): attachment.scaling = value
    case .learned: attachment.scaling = try ledger.take(scalingName, shape: [1])[0]
    case .channel:
      attachment.scalingVector = builder.addTensor(
        .scalingVector, TensorShape(config.dModel), try ledger.take(scalingName, shape: [config.dModel]))
    }
    if let gate {
      attachment.gateWeight = builder.addTensor(
        .gateWeight, TensorShape(config.dModel), try ledger.take(gate + "weight", shape: [1, config.dModel]))
      attachment.gateBias = builder.addTensor(
        .gateBias, TensorShape(1), try ledger.take(gate + "bias", shape: [1]))
    }
    try attach(.adapter(attachment), slot: config.slots.slot(site.stack, site.subLayer, layer: site.layer))
  }

  /// - Throws: `.unsupported` where two parts of a task want one place.
  mutating func attach(_ attachment: TaskAttachment, slot: Int) throws(ConversionError) {
    let isTaken = builder.attachments(slot: slot).contains { other in
      switch (attachment, other) {
      case (.adapter, .adapter), (.prefix, .prefix), (.prompt, .prompt): true
      default: false
      }
    }
    guard !isTaken else {
      throw ConversionError(
        .unsupported, file: ledger.directory, "found two adapters of one kind for one place in the backbone")
    }
    builder.attach(attachment, slot: slot)
  }

  /// Replaces the backbone's norm weight at `slot`.
  mutating func setNorm(_ values: [Float], slot: Int) {
    builder.setNorm(builder.addTensor(.taskNorm, TensorShape(config.dModel), values), slot: slot)
  }

  /// Changes `place`; parts of a product may be given one after another.
  mutating func change(_ place: ProductPlace, _ change: (inout TaskProduct) -> Void) {
    change(&products[place, default: TaskProduct(target: place.target)])
  }

  /// Gives the task a head.
  mutating func addHead(_ source: HeadSource) throws(ConversionError) {
    guard source.input != .pooler || config.hasPooler else {
      throw ConversionError(
        .missingTensor, file: ledger.directory, subject: EncoderNames.pooler,
        "the head reads the output of a pooler, which the backbone does not have")
    }
    var width = config.dModel
    var linears: [Int] = []
    for layer in source.layers {
      if let stored = layer.stored {
        linears.append(addLinear(stored, inWidth: width, outWidth: layer.outWidth))
        width = layer.outWidth
        continue
      }
      linears.append(
        try addLinear(
          LinearSource(
            form: .dense, inWidth: width, outWidth: layer.outWidth, hasBias: layer.hasBias, prefix: layer.prefix,
            sharedRulePrefix: nil, sharedWeight: nil)))
      width = layer.outWidth
    }
    let activations = source.layers.map(\.activation)
    builder.setHead(
      TaskHead(
        input: source.input, output: source.output, first: linears.first,
        firstActivation: activations.first ?? .identity, second: linears.count > 1 ? linears[1] : nil,
        secondActivation: activations.count > 1 ? activations[1] : .identity, outWidth: width,
        hasUnitLength: source.hasUnitLength),
      labels: source.labels.map { Array($0.utf8) })
  }

  /// The section.
  /// - Throws: `.unknownTensor` when a tensor of the source was not used.
  mutating func finish() throws(ConversionError) -> [UInt8] {
    try ledger.requireEmpty()
    for (place, product) in products { builder.attach(.product(product), slot: place.slot) }
    return builder.sectionBytes()
  }

  private mutating func addNorm(_ name: String, copy: String?) throws(ConversionError) -> (weight: Int, bias: Int) {
    func shape() -> [Int] { [config.dModel] }
    var indices: [Int] = []
    for (part, kind) in [("weight", TaskTensorKind.adapterNormWeight), ("bias", .adapterNormBias)] {
      let values = try ledger.take(name + part, shape: shape())
      if let copy { try ledger.takeCopy(copy + part, shape: shape(), of: values) }
      indices.append(builder.addTensor(kind, TensorShape(config.dModel), values))
    }
    return (indices[0], indices[1])
  }

  /// - Parameter weights: encoding of a dense matrix; factors and biases are always float32.
  private mutating func addLinear(
    _ source: LinearSource, _ weights: WeightEncoding = .float32
  ) throws(ConversionError) -> Int {
    var linear = TaskLinear(inWidth: source.inWidth, outWidth: source.outWidth, phmDim: 1, factorRank: 0)
    switch source.form {
    case .kronecker(let n, let rank, let hasFactorizedRule):
      (linear.phmDim, linear.inBlocks, linear.outBlocks) = (n, n, n)
      linear.factorRank = rank ?? 0
      if hasFactorizedRule {
        linear.ruleLeft = try addRule(source, "phm_rule_left", .ruleLeft, TensorShape(n, n, 1))
        linear.ruleRight = try addRule(source, "phm_rule_right", .ruleRight, TensorShape(n, 1, n))
      } else {
        linear.rule = try addRule(source, "phm_rule", .rule, TensorShape(n, n, n))
      }
      if let rank {
        linear.leftFactor = try addWeight(source, "_left", .leftFactor, TensorShape(n, source.inWidth / n, rank))
        linear.rightFactor = try addWeight(source, "_right", .rightFactor, TensorShape(n, rank, source.outWidth / n))
      } else {
        linear.full = try addWeight(source, "", .full, TensorShape(n, source.inWidth / n, source.outWidth / n))
      }
      if source.hasBias { linear.bias = try addBias(source, "b") }
    case .dense:
      let stored = try ledger.take(source.prefix + "weight", shape: [source.outWidth, source.inWidth])
      if weights == .int8Rows {
        (linear.codes, linear.scales) = addRows(stored, rows: source.outWidth, columns: source.inWidth)
      } else {
        linear.full = builder.addTensor(
          .full, TensorShape(1, source.inWidth, source.outWidth),
          stored.transposed(rows: source.outWidth, columns: source.inWidth))
      }
      if source.hasBias { linear.bias = try addBias(source, "bias") }
    case .rankOne:
      linear.factorRank = 1
      linear.leftFactor = builder.addTensor(
        .leftFactor, TensorShape(1, source.inWidth, 1),
        try ledger.take(source.prefix + "W_left", shape: [source.inWidth, 1]))
      linear.rightFactor = builder.addTensor(
        .rightFactor, TensorShape(1, 1, source.outWidth),
        try ledger.take(source.prefix + "W_right", shape: [1, source.outWidth]))
      if source.hasBias { linear.bias = try addBias(source, "b") }
    }
    return builder.addLinear(linear)
  }

  private mutating func addLinear(_ stored: HeadSource.Stored, inWidth: Int, outWidth: Int) -> Int {
    var linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0)
    linear.full = builder.addTensor(.full, TensorShape(1, inWidth, outWidth), stored.full)
    linear.bias = builder.addTensor(.bias, TensorShape(outWidth), stored.bias)
    return builder.addLinear(linear)
  }

  /// Rounds finite `values` [rows, columns] to int8 rows.
  private mutating func addRows(_ values: [Float], rows: Int, columns: Int) -> (codes: Int, scales: Int) {
    var codes = [Int8](repeating: 0, count: values.count)
    var scales: [Float] = []
    values.withUnsafeBufferPointer { values in
      codes.withUnsafeMutableBufferPointer { codes in
        for row in 0..<rows {
          let start = row * columns
          let outcome = RowEncoding.encodeInt8(
            UnsafeBufferPointer(rebasing: values[start..<start + columns]), to: codes.baseAddress! + start)!
          scales.append(outcome.scale)
          rounding.add(outcome)
        }
      }
    }
    return (
      builder.addCodes(rows: rows, columns: columns, codes), builder.addTensor(.scales, TensorShape(rows), scales)
    )
  }

  private mutating func addBias(_ source: LinearSource, _ name: String) throws(ConversionError) -> Int {
    builder.addTensor(
      .bias, TensorShape(source.outWidth), try ledger.take(source.prefix + name, shape: [source.outWidth]))
  }

  private mutating func addRule(
    _ source: LinearSource, _ name: String, _ kind: TaskTensorKind, _ shape: TensorShape
  ) throws(ConversionError) -> Int {
    try addTensor(
      own: source.prefix + name, shared: source.sharedRulePrefix.map { $0 + name }, kind, shape)
  }

  private mutating func addWeight(
    _ source: LinearSource, _ part: String, _ kind: TaskTensorKind, _ shape: TensorShape
  ) throws(ConversionError) -> Int {
    try addTensor(own: source.prefix + "W" + part, shared: source.sharedWeight.map { $0 + part }, kind, shape)
  }

  /// A shared tensor is added when it is first named. The authors' files repeat it at every linear that uses it.
  private mutating func addTensor(
    own: String, shared name: String?, _ kind: TaskTensorKind, _ shape: TensorShape
  ) throws(ConversionError) -> Int {
    let dimensions = [shape.dim0, shape.dim1, shape.dim2]
    guard let name else { return builder.addTensor(kind, shape, try ledger.take(own, shape: dimensions)) }
    let known: (tensor: Int, values: [Float])
    if let found = shared[name] {
      known = found
    } else {
      let values = try ledger.take(name, shape: dimensions)
      known = (builder.addTensor(kind, shape, values), values)
      shared[name] = known
    }
    try ledger.takeCopy(own, shape: dimensions, of: known.values)
    return known.tensor
  }
}

/// What rounding a task's matrices to int8 did to them.
struct RoundingError {
  private var squares = 0.0
  private var errorSquares = 0.0
  private(set) var rowCount = 0

  mutating func add(_ outcome: RowEncoding.Outcome) {
    squares += outcome.squares
    errorSquares += outcome.errorSquares
    rowCount += 1
  }

  /// Root of the mean squared error over that of the mean square.
  var relativeError: Double { squares > 0 ? (errorSquares / squares).squareRoot() : 0 }
}

extension [Float] {
  func transposed(rows: Int, columns: Int) -> [Float] {
    var result = [Float](repeating: 0, count: count)
    for row in 0..<rows {
      for column in 0..<columns { result[column * rows + row] = self[row * columns + column] }
    }
    return result
  }
}

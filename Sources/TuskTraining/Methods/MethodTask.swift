import TuskFormat

/// Tasks that have not been trained yet.
public enum MethodTask {
  /// The section of a task for `backbone` that has exactly the numbers which `settings.method` trains, as they begin. All
  /// tensors are float32, and all are trained. LoRA, biases and norms change nothing at all yet, Compacter next to nothing;
  /// PHM, dense and low-rank adapters add what their authors draw.
  ///
  /// Biases of BitFit begin as those of the backbone, or as 0 where it has none: T5 gains one at every product, at the
  /// norm of every sub-layer and at its head. On encoders the authors' dialect has the placements, activation and norms
  /// that it has on T5.
  /// - Parameters:
  ///   - name: of the task, 1 to 255 bytes of UTF-8 without control characters.
  ///   - head: of a task for an encoder; nil to train in front of the head the backbone has.
  /// - Throws: `.unsupported` for settings that do not fit the backbone, or a method that adds no task to it.
  public static func section(
    _ settings: MethodSettings, backbone: PackedFile, name: String, head: HeadTemplate? = nil
  ) throws(TrainingError) -> [UInt8] {
    guard let config = backbone.config else {
      throw TrainingError(.unsupported, "found a task file; a backbone is required")
    }
    guard head != nil || config.hasDecoder || backbone.head != nil else {
      throw TrainingError(
        .unsupported, "the backbone has no head of its own, and the task none either: nothing to train for")
    }
    return try section(settings, BackboneValues(backbone), name: name, head: head)
  }

  /// As `section(_:backbone:name:head:)`, for a backbone of which only `values` are known.
  static func section(
    _ settings: MethodSettings, _ values: BackboneValues, name: String, head: HeadTemplate?
  ) throws(TrainingError) -> [UInt8] {
    let config = values.config
    try requireName(name)
    try settings.requireFit(to: config)
    guard !settings.method.trainsBackbone else {
      throw TrainingError(
        .unsupported, "\(settings.method.rawValue) changes the backbone itself: what it trains is no task beside it")
    }
    try head?.requireFit(to: config)
    var parts = MethodParts(settings, values, name: name)
    switch settings.method {
    case .compacter, .compacterPlusPlus, .phm, .adapter, .pfeiffer, .adapterDrop, .lowRank: parts.addAdapters()
    case .prompt: parts.addPrompt()
    case .bitfit: parts.addBiases(withPooler: head?.layers == .onPooler)
    case .lora: parts.addLoRA()
    case .intrinsicSAID, .full: preconditionFailure("no task")
    }
    if settings.trainsNorms { parts.addNorms() }
    head?.build(&parts.builder, dModel: config.dModel, seed: settings.seed)
    return parts.builder.sectionBytes()
  }

  /// The section of a task that is nothing but `head`, for methods that train the backbone itself.
  /// - Throws: `.unsupported` for a head that does not fit the backbone, or no name.
  public static func headSection(
    _ head: HeadTemplate, config: BackboneConfig, name: String, seed: UInt64
  ) throws(TrainingError) -> [UInt8] {
    try requireName(name)
    try head.requireFit(to: config)
    var builder = TaskBuilder(
      config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .training)
    head.build(&builder, dModel: config.dModel, seed: seed)
    return builder.sectionBytes()
  }

  private static func requireName(_ name: String) throws(TrainingError) {
    guard name.isPackedName else {
      throw TrainingError(
        .unsupported, "found a name of \(name.utf8.count) bytes; 1 to 255 without control characters are required")
    }
  }
}

/// A task under construction.
struct MethodParts {
  let settings: MethodSettings
  let values: BackboneValues
  let config: BackboneConfig
  var builder: TaskBuilder
  var random: SplitMix64
  /// Rules and factors that layers share, by their names.
  var shared: [String: Int] = [:]

  init(_ settings: MethodSettings, _ values: BackboneValues, name: String) {
    self.settings = settings
    self.values = values
    config = values.config
    builder = TaskBuilder(
      config: config, name: Array(name.utf8), vocabularySize: config.vocabularySize, origin: .training)
    random = SplitMix64(seed: settings.seed)
  }

  mutating func addTensor(_ kind: TaskTensorKind, _ shape: TensorShape, _ start: InitialValues) -> Int {
    builder.addTensor(kind, shape, start.draw(shape.elementCount, &random))
  }

  /// Vectors in front of the encoder's embeddings. Those of the library take the place of finished embeddings, those of the
  /// authors that of words.
  mutating func addPrompt() {
    let count = settings.promptTokens
    let shape = TensorShape(count, config.dModel)
    let vectors: Int
    switch settings.promptStart {
    case .random: vectors = addTensor(.prompt, shape, .uniform(bound: 0.5))
    case .vocabulary:
      let position = config.tensorPosition(.embedding, .shared)
      vectors = builder.addTensor(.prompt, shape, (0..<count).flatMap { values.row(position, $0) })
    }
    builder.attach(
      .prompt(
        TaskPrompt(
          tokenCount: count, embeddings: vectors, place: .front,
          stage: settings.dialect == .authors ? .wordEmbeddings : .embeddings, firstToken: 0)),
      slot: config.slots.encoderStart)
  }

  /// `y += alpha / R (x A^T) B^T` at q and v of every attention: A uniform within 1 / sqrt(in), B 0.
  /// - Source: `LoraLayer.reset_lora_parameters` and the target modules of T5 and BERT in PEFT
  mutating func addLoRA() {
    let rank = settings.loraRank
    for product in BackboneProduct.all(in: config) where product.target == .q || product.target == .v {
      var linear = TaskLinear(
        inWidth: product.inWidth, outWidth: product.outWidth, phmDim: 1, factorRank: rank)
      linear.leftFactor = addTensor(
        .leftFactor, TensorShape(1, product.inWidth, rank),
        .uniform(bound: 1 / Double(product.inWidth).squareRoot()))
      linear.rightFactor = addTensor(.rightFactor, TensorShape(1, rank, product.outWidth), .zeros)
      builder.attach(
        .product(
          TaskProduct(
            target: product.target, linear: builder.addLinear(linear), scaling: settings.loraAlpha / Float(rank))),
        slot: product.slot)
    }
  }

  /// A bias for every product, for every norm that has one, and, where the backbone has none, for the norms of sub-layers
  /// and the language model's head.
  mutating func addBiases(withPooler: Bool) {
    for product in BackboneProduct.all(in: config) {
      let start = product.biasRole.flatMap { values.vector($0, product.stack, layer: product.layer) }
      addBias(product.target, start ?? [Float](repeating: 0, count: product.outWidth), slot: product.slot)
    }
    for norm in BackboneNorm.all(in: config) where norm.bias != nil || norm.isAtSubLayer {
      let start = norm.bias.map { values.row($0, 0) } ?? [Float](repeating: 0, count: config.dModel)
      builder.setNormBias(builder.addTensor(.taskNormBias, TensorShape(config.dModel), start), slot: norm.slot)
    }
    if withPooler, let start = values.vector(.poolerBias, .shared) {
      addBias(.pooler, start, slot: config.slots.encoderEnd)
    }
    if config.hasDecoder {
      addBias(.head, [Float](repeating: 0, count: config.vocabularySize), slot: config.slots.decoderEnd)
    }
  }

  private mutating func addBias(_ target: ProductTarget, _ start: [Float], slot: Int) {
    let bias = builder.addTensor(.bias, TensorShape(start.count), start)
    builder.attach(.product(TaskProduct(target: target, bias: bias)), slot: slot)
  }

  /// The norms of the backbone, as the task's own.
  mutating func addNorms() {
    for norm in BackboneNorm.all(in: config) {
      builder.setNorm(
        builder.addTensor(.taskNorm, TensorShape(config.dModel), values.row(norm.weight, 0)), slot: norm.slot)
      guard let bias = norm.bias else { continue }
      builder.setNormBias(
        builder.addTensor(.taskNormBias, TensorShape(config.dModel), values.row(bias, 0)), slot: norm.slot)
    }
  }
}

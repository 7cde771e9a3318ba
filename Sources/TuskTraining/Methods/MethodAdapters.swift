import TuskFormat

/// The adapters of a task, `stream += sub + up(activation(down(x)))`: where they sit, what x is, how their linears begin.
extension MethodParts {
  private enum Direction: String {
    case down
    case up
  }

  mutating func addAdapters() {
    let width = settings.bottleneckWidth(dModel: config.dModel)
    for site in SubLayerSite.all(in: config) where hasAdapter(site) {
      let down = addLinear(.down, config.dModel, width)
      let up = addLinear(.up, width, config.dModel)
      builder.attach(
        .adapter(
          TaskAdapter(
            activation: settings.activation, inputRule: inputRule, skipRule: .subLayer, addsStream: true,
            bottleneckWidth: width, scaling: 1, normEpsilon: Self.normEpsilon, down: down, up: up)),
        slot: site.slot)
    }
  }

  /// Of torch's LayerNorm; the adapters have none, but the field wants a number.
  private static let normEpsilon: Float = 1e-5

  /// Never behind cross-attention. Compacter++ and the library's Pfeiffer adapter stand behind the feed-forward alone, the
  /// authors' Pfeiffer adapter behind self-attention alone.
  private func hasAdapter(_ site: SubLayerSite) -> Bool {
    let layerCount = site.stack == .encoder ? config.layerCount : config.decoderLayerCount
    guard settings.adapterLayers(of: layerCount).contains(site.layer) else { return false }
    switch site.subLayer {
    case .crossAttention: return false
    case .selfAttention:
      return settings.method != .compacterPlusPlus && !(settings.method == .pfeiffer && settings.dialect == .adapterhub)
    case .feedForward: return !(settings.method == .pfeiffer && settings.dialect == .authors)
    }
  }

  /// The library hands Compacter++ and its Pfeiffer adapter the sum with the stream, normed where the norm stands behind it.
  private var inputRule: InputRule {
    guard settings.dialect == .adapterhub, settings.method == .compacterPlusPlus || settings.method == .pfeiffer else {
      return .subLayer
    }
    return config.normPlacement == .behind ? .normOfSubLayerPlusStream : .subLayerPlusStream
  }

  private mutating func addLinear(_ direction: Direction, _ inWidth: Int, _ outWidth: Int) -> Int {
    var linear: TaskLinear
    switch settings.method {
    case .compacter, .compacterPlusPlus: linear = kronecker(direction, inWidth, outWidth, rank: settings.factorRank)
    case .phm: linear = kronecker(direction, inWidth, outWidth, rank: 0)
    case .lowRank:
      let rank = settings.factorRank
      linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: rank)
      linear.leftFactor = addTensor(.leftFactor, TensorShape(1, inWidth, rank), factorStart(inWidth, rank))
      linear.rightFactor = addTensor(.rightFactor, TensorShape(1, rank, outWidth), factorStart(rank, outWidth))
    default:
      linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: 1, factorRank: 0)
      linear.full = addTensor(
        .full, TensorShape(1, inWidth, outWidth), .normal(deviation: settings.dialect == .authors ? 0.01 : 0.02))
    }
    linear.bias = addTensor(.bias, TensorShape(outWidth), .zeros)
    return builder.addLinear(linear)
  }

  /// A PHM layer; its right operands are whole if `rank` is 0.
  private mutating func kronecker(_ direction: Direction, _ inWidth: Int, _ outWidth: Int, rank: Int) -> TaskLinear {
    let terms = settings.phmDim
    let (rows, columns) = (inWidth / terms, outWidth / terms)
    var linear = TaskLinear(inWidth: inWidth, outWidth: outWidth, phmDim: terms, factorRank: rank)
    let ruleStart = InitialValues.normal(deviation: settings.sharesRule ? 1e-4 : 0.01)
    let owner = settings.sharesRule ? "rule" : nil
    if settings.factorizesRule {
      linear.ruleLeft = addTensor(.ruleLeft, TensorShape(terms, terms, 1), ruleStart, sharedBy: owner)
      linear.ruleRight = addTensor(.ruleRight, TensorShape(terms, 1, terms), ruleStart, sharedBy: owner)
    } else {
      linear.rule = addTensor(.rule, TensorShape(terms, terms, terms), ruleStart, sharedBy: owner)
    }
    if rank == 0 {
      linear.full = addTensor(.full, TensorShape(terms, rows, columns), factorStart(rows, columns))
    } else {
      let owner = settings.sharesFactors ? direction.rawValue : nil
      linear.leftFactor = addTensor(
        .leftFactor, TensorShape(terms, rows, rank), factorStart(rows, rank), sharedBy: owner)
      linear.rightFactor = addTensor(
        .rightFactor, TensorShape(terms, rank, columns), factorStart(rank, columns), sharedBy: owner)
    }
    return linear
  }

  /// Of a factor [rows, columns]: Xavier's, uniform with gain sqrt(2) by the authors, normal with gain 1 by the library.
  private func factorStart(_ rows: Int, _ columns: Int) -> InitialValues {
    settings.dialect == .authors ? .xavierUniform(rows, columns) : .xavierNormal(rows, columns)
  }

  /// A tensor that all linears with the same `owner` share, and that is drawn once.
  private mutating func addTensor(
    _ kind: TaskTensorKind, _ shape: TensorShape, _ start: InitialValues, sharedBy owner: String?
  ) -> Int {
    guard let owner else { return addTensor(kind, shape, start) }
    let key = "\(owner) \(kind.rawValue)"
    if let tensor = shared[key] { return tensor }
    let tensor = addTensor(kind, shape, start)
    shared[key] = tensor
    return tensor
  }
}

import TuskFormat

/// How many numbers are trained, by what they are.
public struct TrainedCounts: Equatable, Sendable {
  /// Factors, matrices, prompts, scales; of `intrinsic-said` the numbers of its subspace.
  public var adapters = 0
  /// The A_i of Kronecker sums.
  public var rule = 0
  /// Of linears and products, and of norms whose weights stay the backbone's.
  public var biases = 0
  /// The task's own norms, weights and biases.
  public var norms = 0
  /// The backbone's own numbers, of `full`.
  public var backbone = 0
  /// A task's head, which papers leave out of what they count.
  public var head = 0
  /// Numbers in the backbone, a tied head counted once.
  public var backboneParameterCount: Int

  /// All without the head.
  public var trained: Int { adapters + rule + biases + norms + backbone }
  /// All with the head.
  public var total: Int { trained + head }
  /// `trained` as a share of the backbone, in percent.
  public var percent: Double { 100 * Double(trained) / Double(backboneParameterCount) }

  private init(backboneParameterCount: Int) { self.backboneParameterCount = backboneParameterCount }

  /// The float32 tensors of `task`, each once however often it is named.
  public init(_ task: TaskSection) {
    self.init(backboneParameterCount: Int(task.backboneParameterCount))
    var biasesAlone: Set<Int> = []
    for position in 0..<task.slots.count {
      let slot = task.slot(at: position)
      if let bias = slot.normBiasTensor, slot.normTensor == nil { biasesAlone.insert(bias) }
    }
    let ofHead = task.headTensors
    for position in 0..<task.tensorCount {
      let tensor = task.tensor(at: position)
      let count = tensor.shape.elementCount
      if ofHead.contains(position) {
        head += count
        continue
      }
      switch tensor.kind {
      case .rule, .ruleLeft, .ruleRight: rule += count
      case .bias: biases += count
      case .taskNorm: norms += count
      case .taskNormBias:
        if biasesAlone.contains(position) { biases += count } else { norms += count }
      case .codes, .scales: break
      case .leftFactor, .rightFactor, .full, .adapterNormWeight, .adapterNormBias, .scalingVector, .inputScale,
        .outputScale, .prefixKeys, .prefixValues, .prompt, .gateWeight, .gateBias:
        adapters += count
      }
    }
  }

  /// Of a method that trains the backbone of `config` itself, without a head.
  /// - Precondition: `settings.method.trainsBackbone`.
  public init(_ settings: MethodSettings, config: BackboneConfig) {
    precondition(settings.method.trainsBackbone, "the section of the task says what is trained")
    self.init(backboneParameterCount: config.parameterCount)
    if settings.method == .full { backbone = config.parameterCount } else { adapters = settings.intrinsicDim }
  }
}

extension TaskSection {
  /// Tensors of the head's linears.
  fileprivate var headTensors: Set<Int> {
    var tensors: Set<Int> = []
    guard let head else { return tensors }
    for case let number? in [head.first, head.second] {
      let linear = linear(at: number)
      for case let tensor? in [
        linear.rule, linear.ruleLeft, linear.ruleRight, linear.leftFactor, linear.rightFactor, linear.full, linear.bias,
        linear.codes, linear.scales,
      ] { tensors.insert(tensor) }
    }
    return tensors
  }
}

import TuskFormat

/// How many numbers a task trains, by what they are for. Shared tensors count once.
struct TaskParameters: Encodable {
  var factors = 0
  var biases = 0
  var norms = 0
  var rule = 0
  var scaling = 0
  /// Prefixes and prompts.
  var prompts = 0
  /// All of the head's layers, whatever they are for.
  var head = 0

  var total: Int { factors + biases + norms + rule + scaling + prompts + head }

  init(_ task: TaskSection) {
    let headTensors = task.headTensors
    for position in 0..<task.tensorCount {
      let tensor = task.tensor(at: position)
      let count = tensor.shape.elementCount
      guard !headTensors.contains(position) else {
        head += count
        continue
      }
      switch tensor.kind {
      case .leftFactor, .rightFactor, .full, .codes: factors += count
      case .bias: biases += count
      case .taskNorm, .taskNormBias, .adapterNormWeight, .adapterNormBias: norms += count
      case .rule, .ruleLeft, .ruleRight: rule += count
      case .scalingVector, .inputScale, .outputScale, .gateWeight, .gateBias: scaling += count
      case .prefixKeys, .prefixValues, .prompt: prompts += count
      // How codes are stored, not what was trained.
      case .scales: break
      }
    }
  }
}

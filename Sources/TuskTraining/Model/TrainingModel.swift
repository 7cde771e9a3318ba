import COpenBLAS
import CTuskBackward
import CTuskKernels
import TuskEngine
import TuskFormat

/// A frozen backbone with a task that is trained: the forward pass of packed examples, the loss, and the backward pass into
/// the gradients of the task.
///
/// Forward computes what a session computes, with the same kernels; a backward pass stands beside each forward and takes the
/// same arguments in the same order. Everything is allocated by the initializer. R source rows, Q target rows, S and T rows
/// of one example, D dModel, F dFF, H heads, K dKV.
final class TrainingModel {
  let weights: BackboneWeights
  let config: BackboneConfig
  let kernels: TuskKernels
  let back: TuskBackward
  let pool: ThreadPool
  let arena: Arena
  let plan: TrainingPlan
  let task: TrainableTask
  /// The backbone itself, if its weights are trained, too.
  let backbone: TrainableBackbone?
  var examples: PackedExamples
  var dropout: Dropout

  var regions: TrainingRegions { plan.regions }

  /// - Throws: `unavailable` without OpenBLAS, memory or threads, `mismatch` if `file` has no backbone.
  init(
    _ file: PackedFile, task: TrainableTask, backbone: TrainableBackbone? = nil, plan: TrainingPlan,
    isaCap: UnsafePointer<CChar>? = nil
  ) throws(TrainingError) {
    if let failure = tusk_blas_load() {
      throw TrainingError(
        .unavailable, "training needs OpenBLAS (Debian package libopenblas0-pthread): \(String(cString: failure))")
    }
    do throws(EngineError) {
      weights = try BackboneWeights(file)
      pool = try ThreadPool(threadCount: plan.request.threads)
      arena = try Arena(byteCount: plan.regions.byteCount)
    } catch {
      throw TrainingError(error.kind == .notABackbone ? .mismatch : .unavailable, "\(error.summary)")
    }
    config = weights.config
    kernels = tusk_kernels_select(isaCap, nil).pointee
    back = tusk_backward_select(isaCap).pointee
    self.plan = plan
    self.task = task
    self.backbone = backbone
    dropout = Dropout(rates: plan.request.dropout)
    examples = PackedExamples(
      sourceRows: plan.rows.source, targetRows: plan.rows.target, examples: plan.rows.examples,
      promptTokens: task.section.prompt?.tokenCount ?? 0, decoderStartId: config.decoderStartId)
    fillBiases()
  }

  /// Fills the tables of the relative bias; again when others have used the arena.
  func fillBiases() {
    guard config.positionScheme == .relativeBias else { return }
    let longest = plan.rows.longestSource
    RelativeBias.fill(
      arena.floats(regions.encoderBias), firstDistance: 1 - longest, distanceCount: 2 * longest - 1,
      isBidirectional: true, weights.matrix(.relativeBias, .encoder), config)
    guard config.hasDecoder else { return }
    RelativeBias.fill(
      arena.floats(regions.decoderBias), firstDistance: 1 - plan.rows.longestTarget,
      distanceCount: plan.rows.longestTarget, isBidirectional: false, weights.matrix(.relativeBias, .decoder), config)
  }

  /// Whether an example of so many tokens still fits among the packed ones.
  func hasRoom(source: Int, target: Int) -> Bool {
    examples.count < plan.rows.examples
      && examples.sourceRows + source + examples.promptTokens <= plan.rows.source
      && examples.targetRows + target <= plan.rows.target
  }

  /// The loss of the packed examples, each divided by `divisor`, and its gradients on top of those of the task.
  /// - Parameter divisor: target tokens of the whole batch, or examples of an encoder.
  func run(divisor: Int) -> Double {
    encode()
    let loss: Double
    if config.hasDecoder {
      decode()
      loss = decoderLoss(factor: 1 / Float(divisor))
      decodeBackward()
    } else {
      loss = headLoss(factor: 1 / Float(divisor))
    }
    encodeBackward()
    return loss / Double(divisor)
  }

  func workerScratch(_ worker: Int) -> UnsafeMutablePointer<Float> {
    UnsafeMutableRawPointer(arena.pointer(regions.workers, to: UInt8.self) + worker * regions.workerBytes)
      .assumingMemoryBound(to: Float.self)
  }

  /// Scratch of a linear, behind what else a worker uses.
  func linearScratch(_ worker: Int) -> UnsafeMutablePointer<Float> {
    workerScratch(worker) + regions.workerBytes / 4 - plan.demands.linearScratchFloats
  }

  /// The norm at `slot` as the task has it.
  func norm(_ slot: Int, _ role: TensorRole, _ stack: Stack, layer: Int = 0) -> TrainedNorm {
    let matrix = weights.matrix(role, stack, layer: layer)
    let own = task.section.slot(at: slot)
    var norm = Norm(kind: config.normKind, weight: matrix.floats(), bias: matrix.bias)
    if let weight = task.section.floats(own.normTensor) { norm.weight = weight }
    if let bias = task.section.floats(own.normBiasTensor) { norm.bias = bias }
    return TrainedNorm(
      norm: norm, weightGradient: task.gradient(own.normTensor) ?? backbone?.gradient(role, stack, layer: layer),
      biasGradient: task.gradient(own.normBiasTensor)
        ?? role.bias.flatMap { backbone?.gradient($0, stack, layer: layer) })
  }
}

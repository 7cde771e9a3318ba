import CTuskBackward
import CTuskKernels
import TuskEngine
import TuskFormat

extension TaskSection {
  /// A linear as kernels take it.
  func kronecker(_ linear: Int, scaling: Float) -> TuskKronecker {
    let record = self.linear(at: linear)
    return TuskKronecker(
      n: record.phmDim, in: record.inWidth, out: record.outWidth, inBlocks: record.inBlocks,
      outBlocks: record.outBlocks, rank: record.factorRank, rule: floats(record.rule),
      ruleLeft: floats(record.ruleLeft), ruleRight: floats(record.ruleRight), left: floats(record.leftFactor),
      right: floats(record.rightFactor), full: floats(record.full), bias: floats(record.bias), scaling: scaling,
      accumulates: false)
  }
}

extension TrainableTask {
  /// A linear with the gradients of its factors.
  func kroneckerGradient(_ linear: Int, scaling: Float = 1) -> TuskKroneckerGradient {
    let record = section.linear(at: linear)
    return TuskKroneckerGradient(
      layer: section.kronecker(linear, scaling: scaling), rule: gradient(record.rule),
      ruleLeft: gradient(record.ruleLeft), ruleRight: gradient(record.ruleRight), left: gradient(record.leftFactor),
      right: gradient(record.rightFactor), full: gradient(record.full), bias: gradient(record.bias))
  }
}

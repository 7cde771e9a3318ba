import CTuskBackward
import Foundation

/// AdamW with linear warm-up and decay, and a bound on the norm of the gradient.
public struct OptimizerSettings: Equatable, Sendable {
  public var learningRate: Double
  /// Steps in which the rate grows from 0.
  public var warmupSteps: Int
  /// Steps until it has fallen to 0 again.
  public var totalSteps: Int
  public var clipNorm: Double
  public var beta1: Double
  public var beta2: Double
  public var epsilon: Double
  public var weightDecay: Double

  public init(
    learningRate: Double, warmupSteps: Int, totalSteps: Int, clipNorm: Double = 1, beta1: Double = 0.9,
    beta2: Double = 0.999, epsilon: Double = 1e-8, weightDecay: Double = 0
  ) {
    self.learningRate = learningRate
    self.warmupSteps = warmupSteps
    self.totalSteps = totalSteps
    self.clipNorm = clipNorm
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
  }

  /// The rate of step `step`, from 0 on.
  /// - Source: `get_linear_schedule_with_warmup` of transformers
  public func rate(step: Int) -> Double {
    if step < warmupSteps { return learningRate * Double(step) / Double(warmupSteps) }
    return learningRate * Double(max(0, totalSteps - step)) / Double(max(1, totalSteps - warmupSteps))
  }
}

extension OptimizerSettings {
  /// Step `step` for gradients whose norm, all together, is `norm`.
  func adamw(step: Int, norm: Double) -> TuskAdamW {
    let time = Double(step + 1)
    return TuskAdamW(
      beta1: beta1, beta2: beta2, rate: Float(rate(step: step)), epsilon: Float(epsilon),
      weightDecay: Float(weightDecay), correction1: Float(1 / (1 - pow(beta1, time))),
      correction2: Float(1 / (1 - pow(beta2, time))), gradientScale: Float(min(1, clipNorm / (norm + 1e-6))))
  }
}

extension TrainableTask {
  func sumOfSquares(_ back: TuskBackward) -> Double { back.sum_of_squares(gradients, count) }

  /// One step of AdamW over all numbers.
  func update(_ step: TuskAdamW, _ back: TuskBackward) {
    var step = step
    back.adamw(&step, values, gradients, firstMoments, secondMoments, count)
  }
}

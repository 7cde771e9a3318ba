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

extension TrainableTask {
  /// The norm of all gradients together.
  func gradientNorm(_ back: TuskBackward) -> Double { back.sum_of_squares(gradients, count).squareRoot() }

  /// Changes the task by its gradients, whose norm is `norm`, as step `step` of `settings` does.
  func update(step: Int, norm: Double, _ settings: OptimizerSettings, _ back: TuskBackward) {
    let time = Double(step + 1)
    var adamw = TuskAdamW(
      beta1: settings.beta1, beta2: settings.beta2, rate: Float(settings.rate(step: step)),
      epsilon: Float(settings.epsilon), weightDecay: Float(settings.weightDecay),
      correction1: Float(1 / (1 - pow(settings.beta1, time))),
      correction2: Float(1 / (1 - pow(settings.beta2, time))),
      gradientScale: Float(min(1, settings.clipNorm / (norm + 1e-6))))
    back.adamw(&adamw, values, gradients, firstMoments, secondMoments, count)
  }
}

import Foundation
import TuskConversion
import TuskTraining

/// How a training run ended: the JSON object of `tusk train`, `formats/json.md`.
struct TrainingSummary: Encodable {
  let output: String
  let method: String
  let dialect: String
  let trainedParameters: Int
  let headParameters: Int
  let percentOfBackbone: Double
  let steps: Int
  let epochs: Int
  let bestEpoch: Int?
  let average: Double?
  let metrics: [String: Double]?
  let finalLoss: Double?
  let seconds: Double
  let tokensPerSecond: Double?
  let plannedPrivateBytes: Int
  let privateBytes: Int

  init(
    _ options: Train, _ trainer: Trainer, _ counts: TrainedCounts, _ outcome: TrainingOutcome, _ report: TrainingReport
  ) {
    output = options.output
    method = trainer.settings.method.method.rawValue
    dialect = trainer.settings.method.dialect.rawValue
    trainedParameters = counts.trained
    headParameters = counts.head
    percentOfBackbone = counts.percent
    steps = outcome.steps
    epochs = outcome.epochs
    bestEpoch = outcome.bestEpoch
    average = outcome.bestValue
    metrics = outcome.bestValue == nil ? nil : trainer.bestMetrics
    finalLoss = report.curve.losses.last?.value
    seconds = report.seconds
    tokensPerSecond = report.tokensPerSecond
    plannedPrivateBytes = trainer.plan.privateBytes
    privateBytes = Int(report.peakPrivateBytes)
  }

  var line: String {
    var text = "\(output.printable): \((trainedParameters + headParameters).grouped) numbers, \(steps.counted("step"))"
    if let finalLoss { text += String(format: ", loss %.4f", finalLoss) }
    if let bestEpoch, let metrics {
      let values = metrics.sorted { $0.key < $1.key }.map { String(format: "%@ %.4f", $0.key, $0.value) }
      text += ", best epoch \(bestEpoch): \(values.joined(separator: ", "))"
    }
    text += String(format: "; %.1f s", seconds)
    if let tokensPerSecond { text += String(format: ", %.0f tokens/s", tokensPerSecond) }
    return text + ", \(privateBytes.byteText) private"
  }
}

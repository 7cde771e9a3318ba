import Foundation
import TuskConversion

/// How a training run ended: `formats/json.md`.
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
  let bestValue: Double?
  let metrics: [String: Double]?
  let finalLoss: Double
  let seconds: Double
  let tokensPerSecond: Double
  let plannedPrivateBytes: Int
  let privateBytes: Int

  var line: String {
    var text = "\(output.printable): \(trainedParameters.grouped) numbers, \(steps.counted("step")), "
    text += String(format: "loss %.4f", finalLoss)
    if let bestEpoch {
      let values = (metrics ?? [:]).sorted { $0.key < $1.key }.map { String(format: "%@ %.4f", $0.key, $0.value) }
      text += ", best epoch \(bestEpoch): \(values.joined(separator: ", "))"
    }
    text += String(format: "; %.1f s, %.0f tokens/s, ", seconds, tokensPerSecond)
    return text + "\(privateBytes.byteText) private"
  }
}

import TuskEngine
import TuskFormat

/// Rows that pass the model together at most.
public struct TrainingRows: Equatable, Sendable {
  /// R, the rows of a prompt included.
  public var source: Int
  /// Q; 0 of an encoder.
  public var target: Int
  /// Most rows of one example.
  public var longestSource: Int
  public var longestTarget: Int
  public var examples: Int

  /// As many source rows as `count` of the longest examples have, or as all of a step, if those are fewer; target rows in
  /// proportion. Short examples fill the rows that few long ones would.
  init(_ config: BackboneConfig, _ request: TrainingRequest, promptTokens: Int, longest count: Int) {
    let batch = request.batch
    longestSource = request.sourceTokens + promptTokens
    longestTarget = max(config.hasDecoder ? request.targetTokens : 0, 1)
    examples = batch
    let stepSource = (request.stepSourceTokens ?? request.sourceTokens.saturatingProduct(batch)) + promptTokens * batch
    source = max(longestSource, min(longestSource.saturatingProduct(count), stepSource))
    guard config.hasDecoder else {
      target = 0
      return
    }
    let stepTarget = request.stepTargetTokens ?? longestTarget.saturatingProduct(batch)
    let share = min(1, Double(source) / Double(max(stepSource, 1)))
    target = max(longestTarget, Int((Double(stepTarget) * share).rounded(.up)))
  }
}

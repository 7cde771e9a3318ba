import CTuskSystem
import Foundation
import TuskTraining

/// What is told of a training run while it goes on, and kept for its end.
struct TrainingReport {
  /// Losses and evaluations, with those that the log has of the run before it was taken up again.
  private(set) var curve: TrainingCurve
  private(set) var peakPrivateBytes: UInt64 = 0
  /// Of the log, which ends the run.
  private(set) var failure: Failure?
  private let totalSteps: Int
  private let log: TrainingLog?
  private let start = tusk_monotonic_nanoseconds()
  private var shown: UInt64 = 0
  private var steps = 0
  private var stepMilliseconds = 0.0
  private var tokens = 0
  private var smoothLoss: Double?

  private static let intervalNanoseconds: UInt64 = 200_000_000
  /// Part of the smooth loss that is that of the last step.
  private static let smoothing = 0.05

  init(totalSteps: Int, log: TrainingLog?) {
    self.totalSteps = totalSteps
    self.log = log
    curve = log?.curve ?? TrainingCurve()
  }

  var seconds: Double { secondsSince(start) }
  /// Source and target tokens; nil before there were steps.
  var tokensPerSecond: Double? { stepMilliseconds > 0 ? 1000 * Double(tokens) / stepMilliseconds : nil }

  mutating func take(_ event: TrainingEvent) {
    switch event {
    case .step(let step):
      let bytes = measure()
      curve.losses.append(TrainingCurve.Point(step: step.step, value: step.loss))
      steps += 1
      stepMilliseconds += step.milliseconds
      tokens += step.tokens
      smoothLoss = smoothLoss.map { $0 + Self.smoothing * (step.loss - $0) } ?? step.loss
      write(.step(step, privateBytes: bytes))
      if isDue { show(progress(step, privateBytes: bytes)) }
    case .answers(let done, let count):
      if isDue { show("\(done.grouped) of \(count.counted("validation example")) answered") }
    case .evaluation(let report):
      _ = measure()
      curve.append(report)
      write(.evaluation(report))
      finish()
      StandardError.write("\(Self.line(report))\n")
    case .saved(let step): write(.saved(step: step))
    }
  }

  /// Clears the line of progress.
  mutating func finish() {
    if shown > 0 { StandardError.write("\r\u{1B}[K") }
    shown = 0
  }

  private mutating func measure() -> Int {
    let bytes = tusk_measure_memory().anonymous
    peakPrivateBytes = max(peakPrivateBytes, bytes)
    return Int(bytes)
  }

  /// Whether there is a terminal, and its last line is some time old.
  private var isDue: Bool {
    StandardError.isTerminal && tusk_monotonic_nanoseconds() - shown >= Self.intervalNanoseconds
  }

  /// In the place of the terminal's last line.
  private mutating func show(_ line: String) {
    shown = tusk_monotonic_nanoseconds()
    StandardError.write("\r\(line)\u{1B}[K")
  }

  private func progress(_ step: TrainingEvent.StepReport, privateBytes: Int) -> String {
    let seconds = stepMilliseconds / Double(steps) * Double(totalSteps - step.step) / 1000
    return "epoch \(step.epoch), step \(step.step.grouped) of \(totalSteps.grouped), "
      + String(format: "loss %.4f, %.0f tokens/s, ", smoothLoss ?? step.loss, tokensPerSecond ?? 0)
      + "\(ProgressBar.duration(seconds)) left, \(privateBytes.byteText) private"
  }

  private static func line(_ report: TrainingEvent.EvaluationReport) -> String {
    var text = "epoch \(report.epoch): " + String(format: "loss %.4f", report.trainingLoss)
    for value in report.evaluation?.values ?? [] {
      text += String(format: ", %@ %.4f", value.metric.rawValue, value.value)
    }
    return text + (report.isBest && report.evaluation != nil ? " (best)" : "")
  }

  private mutating func write(_ line: TrainingLog.Line) {
    guard let log, failure == nil else { return }
    do { try log.write(line) } catch { failure = error }
  }
}

/// How loss and evaluations went.
struct TrainingCurve {
  struct Point {
    let step: Int
    let value: Double
  }

  var losses: [Point] = []
  /// Means of the metrics.
  var averages: [Point] = []
  var metricNames: [String] = []

  mutating func append(_ report: TrainingEvent.EvaluationReport) {
    guard let evaluation = report.evaluation else { return }
    averages.append(Point(step: report.step, value: evaluation.average))
    metricNames = evaluation.values.map(\.metric.rawValue)
  }
}

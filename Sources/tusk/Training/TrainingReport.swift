import CTuskSystem
import Foundation
import TuskConversion
import TuskTraining

/// What is told of a training run while it goes on, and kept for its end.
struct TrainingReport {
  private let totalSteps: Int
  private let log: LineWriter?
  private let start = tusk_monotonic_nanoseconds()
  private var shown: UInt64 = 0
  private var stepMilliseconds = 0.0
  private var tokens = 0
  /// Exponential mean of the losses.
  private var smoothLoss: Double?
  private var lastValue: String = ""
  private(set) var steps: [Int] = []
  private(set) var losses: [Double] = []
  private(set) var evaluations: [TrainingEvent.EvaluationReport] = []
  private(set) var peakPrivateBytes: UInt64 = 0
  /// Of the log, which ends the run.
  private(set) var failure: Failure?

  private static let intervalNanoseconds: UInt64 = 200_000_000

  init(totalSteps: Int, log: LineWriter?) {
    self.totalSteps = totalSteps
    self.log = log
  }

  var seconds: Double { secondsSince(start) }
  var tokensPerSecond: Double { stepMilliseconds > 0 ? 1000 * Double(tokens) / stepMilliseconds : 0 }

  /// Values of the best evaluation by metric.
  var bestMetrics: [String: Double]? {
    evaluations.last(where: \.isBest)?.evaluation.map { evaluation in
      Dictionary(uniqueKeysWithValues: evaluation.values.map { ($0.metric.rawValue, $0.value) })
    }
  }

  mutating func take(_ event: TrainingEvent) {
    let memory = tusk_measure_memory()
    peakPrivateBytes = max(peakPrivateBytes, memory.anonymous)
    switch event {
    case .step(let step):
      steps.append(step.step)
      losses.append(step.loss)
      stepMilliseconds += step.milliseconds
      tokens += step.tokens
      smoothLoss = smoothLoss.map { 0.95 * $0 + 0.05 * step.loss } ?? step.loss
      write(StepLine(step, privateBytes: Int(memory.anonymous)))
      show(step, memory.anonymous)
    case .evaluation(let report):
      evaluations.append(report)
      write(EvaluationLine(report))
      finish()
      StandardError.write("\(Self.line(report))\n")
    case .saved(let step): write(SavedLine(step: step))
    }
  }

  /// Clears the line of progress.
  mutating func finish() {
    if shown > 0 { StandardError.write("\r\u{1B}[K") }
    shown = 0
  }

  private mutating func show(_ step: TrainingEvent.StepReport, _ privateBytes: UInt64) {
    let now = tusk_monotonic_nanoseconds()
    guard StandardError.isTerminal, now - shown >= Self.intervalNanoseconds else { return }
    shown = now
    let left = ProgressBar.duration(stepMilliseconds / Double(steps.count) * Double(totalSteps - step.step) / 1000)
    StandardError.write(
      "\repoch \(step.epoch), step \(step.step.grouped) of \(totalSteps.grouped), "
        + String(format: "loss %.4f, %.0f tokens/s, ", smoothLoss ?? step.loss, tokensPerSecond)
        + "\(left) left, \(Int(privateBytes).byteText) private\u{1B}[K")
  }

  private static func line(_ report: TrainingEvent.EvaluationReport) -> String {
    var text = "epoch \(report.epoch): " + String(format: "loss %.4f", report.trainingLoss)
    for value in report.evaluation?.values ?? [] {
      text += String(format: ", %@ %.4f", value.metric.rawValue, value.value)
    }
    return text + (report.isBest && report.evaluation != nil ? " (best)" : "")
  }

  private mutating func write(_ line: some Encodable) {
    guard let log, failure == nil else { return }
    do { try log.write(line) } catch { failure = error }
  }
}

/// A line of the log: `formats/json.md`.
private struct StepLine: Encodable {
  let event = "step"
  let step: Int
  let epoch: Int
  let loss: Double
  let gradientNorm: Double
  let learningRate: Double
  let tokens: Int
  let ms: Double
  let privateBytes: Int

  init(_ report: TrainingEvent.StepReport, privateBytes: Int) {
    step = report.step
    epoch = report.epoch
    loss = report.loss
    gradientNorm = report.gradientNorm
    learningRate = report.learningRate
    tokens = report.tokens
    ms = report.milliseconds
    self.privateBytes = privateBytes
  }
}

private struct EvaluationLine: Encodable {
  let event = "evaluation"
  let step: Int
  let epoch: Int
  let trainingLoss: Double
  let metrics: [String: Double]
  let average: Double?
  let isBest: Bool
  let ms: Double

  init(_ report: TrainingEvent.EvaluationReport) {
    step = report.step
    epoch = report.epoch
    trainingLoss = report.trainingLoss
    metrics = Dictionary(
      uniqueKeysWithValues: (report.evaluation?.values ?? []).map { ($0.metric.rawValue, $0.value) })
    average = report.evaluation?.average
    isBest = report.isBest
    ms = report.milliseconds
  }
}

private struct SavedLine: Encodable {
  let event = "saved"
  let step: Int
}

/// Lines of JSON in a file, each there when the call returns.
final class LineWriter {
  private let path: String
  private let handle: FileHandle

  /// - Parameter appends: behind what the file has; else it is begun anew.
  init(path: String, appends: Bool) throws(Failure) {
    self.path = path
    if !appends || !FileManager.default.fileExists(atPath: path) {
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw Failure(Failure.inputOutput, path: path, errorNumber: errno)
      }
    }
    guard let handle = FileHandle(forWritingAtPath: path) else {
      throw Failure(Failure.inputOutput, path: path, errorNumber: errno)
    }
    self.handle = handle
    handle.seekToEndOfFile()
  }

  func write(_ value: some Encodable) throws(Failure) {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do { try handle.write(contentsOf: try encoder.encode(value) + Data([10])) } catch {
      throw Failure(Failure.inputOutput, "\(path.printable): \(error.localizedDescription)")
    }
  }
}

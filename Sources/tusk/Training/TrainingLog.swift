import CTuskSystem
import Foundation
import TuskConversion
import TuskTraining

/// What happens in a training run, as lines of JSON in a file, each there when the call returns: `formats/json.md`.
final class TrainingLog {
  /// One line. What an event does not have is absent.
  struct Line: Codable {
    var event: String
    var step: Int
    var epoch: Int?
    var loss: Double?
    var gradientNorm: Double?
    var learningRate: Double?
    var tokens: Int?
    var privateBytes: Int?
    var trainingLoss: Double?
    var metrics: [String: Double]?
    var average: Double?
    var isBest: Bool?
    var ms: Double?

    static func step(_ report: TrainingEvent.StepReport, privateBytes: Int) -> Line {
      Line(
        event: "step", step: report.step, epoch: report.epoch, loss: report.loss, gradientNorm: report.gradientNorm,
        learningRate: report.learningRate, tokens: report.tokens, privateBytes: privateBytes, ms: report.milliseconds)
    }

    static func evaluation(_ report: TrainingEvent.EvaluationReport) -> Line {
      Line(
        event: "evaluation", step: report.step, epoch: report.epoch, trainingLoss: report.trainingLoss,
        metrics: report.evaluation.map { evaluation in
          Dictionary(uniqueKeysWithValues: evaluation.values.map { ($0.metric.rawValue, $0.value) })
        }, average: report.evaluation?.average, isBest: report.isBest, ms: report.milliseconds)
    }

    static func saved(step: Int) -> Line { Line(event: "saved", step: step) }
  }

  /// What the lines that were there already tell.
  private(set) var curve = TrainingCurve()
  private let path: String
  private let descriptor: Int32
  private var offset: UInt64 = 0
  private let encoder = JSONEncoder()

  /// - Parameter step: of a run that is taken up behind it: what was written until there stays, and nothing later, since those
  ///   steps are done again. nil begins the file anew.
  init(path: String, goingOnBehind step: Int?) throws(Failure) {
    self.path = path
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Failure(Failure.inputOutput, path: path, errorNumber: errno) }
    if let step { try keepLines(upTo: step) }
    guard ftruncate(descriptor, off_t(offset)) == 0 else {
      throw Failure(Failure.inputOutput, path: path, errorNumber: errno)
    }
  }

  deinit { if descriptor >= 0 { tusk_close_file(descriptor) } }

  func write(_ line: Line) throws(Failure) {
    let bytes: [UInt8]
    do { bytes = Array(try encoder.encode(line)) + [10] } catch {
      throw Failure(Failure.internalFault, "\(path.printable): a line is no JSON: \(error)")
    }
    let failure = tusk_write_at(descriptor, bytes, bytes.count, offset)
    guard failure == 0 else { throw Failure(Failure.inputOutput, path: path, errorNumber: failure) }
    offset += UInt64(bytes.count)
  }

  /// Sets `offset` behind the last whole line of a step up to `step`.
  private func keepLines(upTo step: Int) throws(Failure) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    let file: Data
    do { file = try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe) } catch {
      throw Failure(Failure.inputOutput, "\(path.printable): cannot be read: \(error.localizedDescription)")
    }
    while let end = file[Int(offset)...].firstIndex(of: 10) {
      guard let line = try? decoder.decode(Line.self, from: file[Int(offset)..<end]), line.step <= step else { return }
      offset = UInt64(end + 1)
      if let loss = line.loss { curve.losses.append(TrainingCurve.Point(step: line.step, value: loss)) }
      guard let average = line.average, let metrics = line.metrics else { continue }
      curve.averages.append(TrainingCurve.Point(step: line.step, value: average))
      curve.metricNames = metrics.keys.sorted()
    }
  }
}

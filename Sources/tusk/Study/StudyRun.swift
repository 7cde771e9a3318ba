import CTuskSystem
import Foundation
import Logging
import TuskConversion
import TuskFormat
import TuskTraining

/// Does the runs of a study that are not there yet, one after the other.
///
/// Each training is a process of its own: private memory that one run has freed would else count for the next one, and a run
/// that fails takes nothing with it.
final class StudyRun {
  private let plan: StudyPlan
  private let folder: StudyFolder
  private let process: StudyProcess
  private var failures: [(key: StudyKey, Failure)] = []

  /// Files of a run that is not finished.
  private struct Files {
    let task, log, training: String
    var state: String { task + ".state" }
  }

  init(_ plan: StudyPlan, _ folder: StudyFolder) {
    self.plan = plan
    self.folder = folder
    process = StudyProcess(errorsPath: folder.work("errors"))
  }

  /// How it ended: what is missing, and why.
  struct Outcome {
    let missing: Int
    let firstFailure: Failure?

    /// - Throws: the first failure of a run, or that there was an interruption.
    func requireComplete(of output: String) throws(Failure) {
      if let firstFailure {
        throw Failure(
          firstFailure.exitCode,
          "\(missing.counted("run")) missing, the first that failed: \(firstFailure.message); the same command tries again"
        )
      }
      guard missing == 0 else {
        throw Failure(
          Failure.interrupted,
          "interrupted, \(missing.counted("run")) missing; what is done is in \(output.printable), the same command goes on"
        )
      }
    }
  }

  func runAll() throws(Failure) -> Outcome {
    let keys = plan.keys
    let left = keys.filter { folder.record($0) == nil }
    note("\(keys.count.counted("run")), of which \(keys.count - left.count) are done")
    var missing = left.count
    var clock = StudyClock(left)
    for key in left {
      guard !Interruption.isRequested else { break }
      do {
        guard let record = try run(key) else { break }
        try folder.append(record)
        missing -= 1
        clock.finish(key)
        note(
          "\(keys.count - left.count + clock.count) of \(keys.count): \(Self.text(key)): "
            + String(format: "%.4f, %.1f s; ", record.average, record.training.seconds) + "\(clock.timeLeft) left")
        remove(files(key))
      } catch {
        // A full disk or a missing program fails every run alike.
        guard error.exitCode == Failure.badData else { throw error }
        let failure = Failure(error.exitCode, "\(Self.text(key)): \(error.message)")
        log.error("\(failure.message)")
        failures.append((key, failure))
        clock.finish(key)
      }
    }
    return Outcome(missing: missing, firstFailure: Interruption.isRequested ? nil : failures.first?.1)
  }

  private static func text(_ key: StudyKey) -> String {
    "\(key.task), \(key.method.rawValue), \(key.examples.counted("example")), seed \(key.seed)"
  }

  private func note(_ text: String) { StandardError.write("\(text)\n") }

  /// Nil if it was interrupted.
  private func run(_ key: StudyKey) throws(Failure) -> StudyRecord? {
    let files = files(key)
    guard let trained = try train(key, files) else { return nil }
    let task = plan.task(key)
    let validation = try folder.sample("\(task.name)-validation.jsonl") { () throws(Failure) in
      try training { () throws(TrainingError) in
        try LineSample.draw(task.validationLines, of: task.validation, seed: 0)
      }
    }
    let outcome = try process.run(plan.evaluationArguments(key, output: files.task, validation: validation))
    guard outcome.exitCode != Failure.interrupted else { return nil }
    let judged: PrintedEvaluation = try printed(outcome)
    let recipe = plan.recipe(key)
    return StudyRecord(
      task: key.task, method: key.method.rawValue, examples: key.examples, seed: key.seed,
      learningRate: recipe.learningRate, epochs: recipe.epochs, batch: recipe.batchSize, training: trained,
      metrics: judged.metrics, average: judged.average, judgedExamples: judged.examples,
      invalidAnswers: judged.invalidAnswers)
  }

  /// Trains, or goes on with it, or takes what was trained before an interruption. Nil if it is interrupted.
  private func train(_ key: StudyKey, _ files: Files) throws(Failure) -> StudyRecord.Training? {
    let manager = FileManager.default
    if let data = manager.contents(atPath: files.training), manager.fileExists(atPath: files.task),
      let trained = try? JSONDecoder().decode(StudyRecord.Training.self, from: data)
    {
      return trained
    }
    let goesOn = manager.fileExists(atPath: files.state)
    let task = plan.task(key)
    let sample = try folder.sample("\(task.name)-\(key.examples)-\(key.seed).jsonl") { () throws(Failure) in
      try training { () throws(TrainingError) in
        try LineSample.draw(
          key.examples, of: task.training, seed: UInt64(key.seed),
          coversLabels: task.preset == nil && !plan.config.hasDecoder)
      }
    }
    let outcome = try process.run(
      plan.trainingArguments(key, sample: sample, output: files.task, log: files.log) + (goesOn ? ["--resume"] : []))
    guard outcome.exitCode != Failure.interrupted else { return nil }
    let trained = try measured(outcome, files, isWhole: !goesOn)
    guard let data = try? JSONEncoder().encode(trained) else {
      throw Failure(Failure.badData, "\(Self.text(key)): the loss is no number")
    }
    try ResultFile.write(Array(data), path: files.training)
    return trained
  }

  private func measured(
    _ outcome: StudyProcess.Outcome, _ files: Files, isWhole: Bool
  ) throws(Failure) -> StudyRecord.Training {
    let summary: PrintedTraining = try printed(outcome)
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    var milliseconds: [Int: Double] = [:]
    var privateBytes = summary.privateBytes
    for line in (FileManager.default.contents(atPath: files.log) ?? Data()).split(separator: 10) {
      guard let logged = try? decoder.decode(LoggedStep.self, from: Data(line)), logged.event == "step",
        let ms = logged.ms
      else { continue }
      // A step that was done again after a kill counts once.
      milliseconds[logged.step] = ms
      privateBytes = max(privateBytes, logged.privateBytes ?? 0)
    }
    let attributes = try? FileManager.default.attributesOfItem(atPath: files.task)
    guard let taskBytes = attributes?[.size] as? Int, !milliseconds.isEmpty, summary.epochs > 0 else {
      throw Failure(Failure.internalFault, "\(files.task.printable): the training left no task or no log")
    }
    let epochs = Double(summary.epochs)
    return StudyRecord.Training(
      trainedParameters: summary.trainedParameters, headParameters: summary.headParameters,
      percentOfBackbone: summary.percentOfBackbone, finalLoss: summary.finalLoss, privateBytes: privateBytes,
      plannedPrivateBytes: summary.plannedPrivateBytes, taskBytes: taskBytes,
      msPerEpoch: milliseconds.values.reduce(0, +) / epochs,
      processorMsPerEpoch: isWhole ? 1000 * outcome.processorSeconds / epochs : nil, seconds: summary.seconds)
  }

  /// The JSON object that a command printed.
  private func printed<Value: Decodable>(_ outcome: StudyProcess.Outcome) throws(Failure) -> Value {
    guard outcome.exitCode == 0 else { throw Failure(outcome.exitCode, outcome.message) }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    do { return try decoder.decode(Value.self, from: outcome.output) } catch {
      throw Failure(Failure.internalFault, "a command of the study printed no such object: \(error)")
    }
  }

  private func files(_ key: StudyKey) -> Files {
    Files(
      task: folder.work(key.name + ".tusk"), log: folder.work(key.name + ".jsonl"),
      training: folder.work(key.name + ".json"))
  }

  private func remove(_ files: Files) {
    for path in [files.task, files.state, files.log, files.training] { tusk_remove_file(path) }
  }
}

/// How long the rest takes, if examples take as long as those so far.
private struct StudyClock {
  private let start = tusk_monotonic_nanoseconds()
  private var left: Int
  private var done = 0
  private(set) var count = 0

  init(_ keys: [StudyKey]) { left = keys.reduce(0) { $0 + $1.examples } }

  mutating func finish(_ key: StudyKey) {
    left -= key.examples
    done += key.examples
    count += 1
  }

  var timeLeft: String { ProgressBar.duration(secondsSince(start) / Double(max(done, 1)) * Double(left)) }
}

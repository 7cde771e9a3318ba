import Foundation
import TuskFormat
import TuskTraining

/// What came of a study: the JSON object of `formats/json.md`.
struct StudyReport: Encodable {
  let backbone: String
  let backboneParameters: Int
  let dialect: String
  let settings: [Setting]
  let tasks: [Task]
  /// What each method costs and how well it answers, with the most examples.
  let methods: [Method]
  /// One for each task, method and number of examples that has a run.
  let results: [Result]
  let runs: Int
  let missingRuns: Int

  struct Setting: Encodable {
    let name: String
    let value: String
  }

  struct Task: Encodable {
    let name: String
    /// Their mean is what a run counts for.
    let metrics: [String]
    /// Ascending.
    let examples: [Int]
    let validationExamples: Int
  }

  /// Mean and sample standard deviation over seeds; no deviation of one.
  struct Spread: Encodable {
    let mean: Double
    let spread: Double?

    /// - Precondition: at least one value.
    init(_ values: [Double]) {
      let mean = values.reduce(0, +) / Double(values.count)
      self.mean = mean
      spread =
        values.count > 1
        ? (values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(values.count - 1)).squareRoot() : nil
    }
  }

  struct Method: Encodable {
    let method: String
    let learningRate: Double
    let trainedParameters, headParameters: Int
    let percentOfBackbone: Double
    let taskBytes, privateBytes: Int
    let msPerEpoch: Double
    let processorMsPerEpoch: Double?
    /// Over the tasks, of the seeds for which all of them are done; nil without any.
    let average: Spread?
  }

  struct Result: Encodable {
    let task: String
    let method: String
    let examples: Int
    let seeds: [Int]
    let average: Spread
    let metrics: [String: Spread]
    let trainedParameters, headParameters: Int
    let percentOfBackbone: Double
    let taskBytes, privateBytes: Int
    let msPerEpoch: Double
    let processorMsPerEpoch: Double?
  }

  /// - Parameter records: of any runs; those that the plan does not ask for are left out.
  init(_ plan: StudyPlan, _ records: [StudyRecord]) {
    let keys = plan.keys
    let found = keys.compactMap { key in records.last { $0.belongs(to: key) } }
    backbone = URL(fileURLWithPath: plan.backbone).lastPathComponent
    backboneParameters = plan.config.parameterCount
    dialect = plan.dialect.rawValue
    settings = plan.settings.sorted { $0.key < $1.key }.map { Setting(name: $0.key, value: $0.value) }
    tasks = plan.tasks.map { task in
      let ofTask = found.first { $0.task == task.name }
      return Task(
        name: task.name, metrics: ofTask?.metrics.keys.sorted() ?? task.preset?.metrics.map(\.rawValue) ?? [],
        examples: plan.exampleCounts(task),
        validationExamples: ofTask?.judgedExamples ?? task.validationLines)
    }
    let tasks = self.tasks
    results = tasks.flatMap { task in
      task.examples.flatMap { count in
        plan.methods.compactMap { method in
          Result(
            found.filter { $0.task == task.name && $0.examples == count && $0.method == method.rawValue })
        }
      }
    }
    let results = self.results
    methods = plan.methods.compactMap { method in
      let most = found.filter { record in
        record.method == method.rawValue
          && tasks.contains { $0.name == record.task && $0.examples.last == record.examples }
      }
      return Method(
        most, taskCount: tasks.count,
        results: results.filter { result in
          result.method == method.rawValue
            && tasks.contains { $0.name == result.task && $0.examples.last == result.examples }
        })
    }
    runs = found.count
    missingRuns = keys.count - found.count
  }

  func result(_ task: String, _ method: String, _ examples: Int) -> Result? {
    results.first { $0.task == task && $0.method == method && $0.examples == examples }
  }

  /// Of a task with the most examples.
  func result(_ task: Task, _ method: String) -> Result? { result(task.name, method, task.examples.last!) }
}

extension StudyReport.Result {
  /// Nil without records.
  fileprivate init?(_ records: [StudyRecord]) {
    guard let first = records.first else { return nil }
    let training = records.map(\.training)
    task = first.task
    method = first.method
    examples = first.examples
    seeds = records.map(\.seed)
    average = StudyReport.Spread(records.map(\.average))
    metrics = Dictionary(
      uniqueKeysWithValues: first.metrics.keys.map { name in
        (name, StudyReport.Spread(records.compactMap { $0.metrics[name] }))
      })
    trainedParameters = first.training.trainedParameters
    headParameters = first.training.headParameters
    percentOfBackbone = first.training.percentOfBackbone
    taskBytes = training.map(\.taskBytes).max()!
    privateBytes = training.map(\.privateBytes).max()!
    msPerEpoch = training.map(\.msPerEpoch).sorted().median
    let processor = training.compactMap(\.processorMsPerEpoch)
    processorMsPerEpoch = processor.isEmpty ? nil : processor.sorted().median
  }
}

extension StudyReport.Method {
  /// Nil without records.
  fileprivate init?(_ records: [StudyRecord], taskCount: Int, results: [StudyReport.Result]) {
    guard let first = records.first else { return nil }
    method = first.method
    learningRate = first.learningRate
    trainedParameters = results.map(\.trainedParameters).max()!
    headParameters = results.map(\.headParameters).max()!
    percentOfBackbone = results.map(\.percentOfBackbone).max()!
    taskBytes = results.map(\.taskBytes).max()!
    privateBytes = results.map(\.privateBytes).max()!
    msPerEpoch = results.map(\.msPerEpoch).reduce(0, +) / Double(results.count)
    let processor = results.compactMap(\.processorMsPerEpoch)
    processorMsPerEpoch = processor.isEmpty ? nil : processor.reduce(0, +) / Double(processor.count)
    let means = Dictionary(grouping: records, by: \.seed).values.filter { $0.count == taskCount }
      .map { $0.map(\.average).reduce(0, +) / Double(taskCount) }
    average = means.isEmpty ? nil : StudyReport.Spread(means)
  }
}

import Foundation
import TuskTraining

/// What would be trained, and the plans for its memory: the JSON object of `tusk train --plan-only`, `formats/json.md`.
struct TrainingPlanReport: Encodable {
  struct Planned: Encodable {
    let activations: Int
    let task: Int
    let backbone: Int
    let data: Int
    let runtime: Int
    let `private`: Int

    init(_ plan: TrainingPlan) {
      activations = plan.activationBytes
      task = plan.taskBytes
      backbone = plan.backboneBytes
      data = plan.request.dataBytes
      runtime = plan.runtimeBytes
      `private` = plan.privateBytes
    }
  }

  struct Choice: Encodable {
    let `private`: Int
    let sourceTokens: Int
    let targetTokens: Int
    let keepsActivations: Bool
    let relativeTime: Double
    let isChosen: Bool
  }

  let method: String
  let dialect: String
  let trainedParameters: Int
  let headParameters: Int
  let percentOfBackbone: Double
  let examples: Int
  let validationExamples: Int?
  let cutSources: Int
  let longestSource: Int
  let longestTarget: Int
  let epochs: Int
  let steps: Int
  let batch: Int
  let learningRate: Double
  let warmupSteps: Int
  let dropout: Double
  let threads: Int
  let budget: Int?
  let limit: Int?
  let planned: Planned
  let choices: [Choice]

  init(
    _ method: MethodSettings, _ recipe: TrainingRecipe, _ counts: TrainedCounts, _ trainer: Trainer,
    training: ExampleSet, validation: ExampleSet?, choices plans: [TrainingPlan]
  ) {
    let plan = trainer.plan
    self.method = method.method.rawValue
    dialect = method.dialect.rawValue
    trainedParameters = counts.trained
    headParameters = counts.head
    percentOfBackbone = counts.percent
    examples = training.count
    validationExamples = validation?.count
    cutSources = training.truncatedCount + (validation?.truncatedCount ?? 0)
    longestSource = training.longestSource
    longestTarget = training.longestTarget
    epochs = recipe.epochs
    steps = recipe.stepCount(exampleCount: training.count)
    batch = recipe.batchSize
    learningRate = recipe.learningRate
    warmupSteps = recipe.warmupSteps
    dropout = recipe.dropout
    threads = plan.request.threads
    budget = plan.request.budgetBytes
    limit = plan.limitBytes
    planned = Planned(plan)
    choices = plans.map {
      Choice(
        private: $0.privateBytes, sourceTokens: $0.rows.source, targetTokens: $0.rows.target,
        keepsActivations: $0.keepsActivations, relativeTime: $0.relativeTime(to: plans[0]),
        isChosen: $0.rows == plan.rows && $0.keepsActivations == plan.keepsActivations)
    }
  }

  /// What the planner chose from, fastest first, and why it chose what it did.
  var choiceLines: [String] {
    var bytes = Table("bytes", "planned", "", hasRemarks: true)
    for (name, count) in [
      ("activations", planned.activations), ("task, gradient, moments, best task", planned.task),
      ("examples", planned.data), ("program and libraries", planned.runtime), ("private", planned.private),
    ] { bytes.add(name, count.grouped, count.byteText) }
    var table = Table("private", "source tokens together", "activations", "time", "", hasRemarks: true)
    for choice in choices {
      table.add(
        choice.private.grouped, choice.sourceTokens.grouped, choice.keepsActivations ? "kept" : "computed again",
        String(format: "%.2f", choice.relativeTime), choice.isChosen ? "chosen" : "")
    }
    return bytes.lines + ["", reason + ":", ""] + table.lines
  }

  private var reason: String {
    guard let limit else { return "the smallest of these: there is no budget, but all are large for this backbone" }
    guard budget == nil else { return "the first of these that fits \(limit.grouped) bytes" }
    return "the first of these below \(limit.grouped) bytes, since there is no budget"
  }
}

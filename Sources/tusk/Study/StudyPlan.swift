import Foundation
import TuskConversion
import TuskFormat
import TuskTraining

/// What one training of a study is: equal keys, equal runs.
struct StudyKey: Hashable {
  let task: String
  let method: TrainingMethod
  let examples: Int
  let seed: Int

  /// Part of names of files.
  var name: String { "\(task)-\(method.rawValue)-\(examples)-\(seed)" }
}

/// A data set of a study.
struct StudyTask {
  let name: String
  let preset: Preset?
  let training: String
  let validation: String
  let trainingLines: Int
  /// Lines of the validation data that are used.
  let validationLines: Int
}

/// All runs of a study and what they have in common.
struct StudyPlan {
  let backbone: String
  /// Of the methods that train the backbone itself.
  let trainedBackbone: String
  let config: BackboneConfig
  let tasks: [StudyTask]
  let methods: [TrainingMethod]
  let seeds: Int
  /// Nil for all that a task has.
  let examples: [Int]?
  let dialect: TrainingDialect
  /// What must not change between runs of one folder, by name.
  let settings: [String: String]
  private let options: Study

  init(_ options: Study) throws(Failure) {
    self.options = options
    backbone = options.backbone
    let (file, config) = try openBackbone(options.backbone)
    guard file.section(.tokenizer) != nil else {
      throw Failure(
        Failure.badData,
        "\(options.backbone.printable): the backbone was converted without a tokenizer, which texts need")
    }
    self.config = config
    let dialect = options.dialect ?? (config.hasDecoder ? .authors : .adapterhub)
    self.dialect = dialect
    methods = options.methods.methods
    trainedBackbone = options.float32Backbone ?? options.backbone
    let trainedConfig = try Self.trainedConfig(trainedBackbone, options, config)
    seeds = options.seeds
    examples = options.examples?.counts
    try training { () throws(TrainingError) in
      for method in options.methods.methods {
        try MethodSettings(method, dialect: dialect).requireFit(
          to: method.trainsBackbone ? trainedConfig : config)
      }
    }
    let tasks = try training { () throws(TrainingError) in try Self.tasks(options) }
    self.tasks = tasks
    settings = try training { () throws(TrainingError) in try Self.settings(options, config, dialect, tasks) }
  }

  /// The configuration of what methods train that train the backbone itself: of the same weights as that of the others.
  private static func trainedConfig(_ path: String, _ options: Study, _ config: BackboneConfig) throws(Failure)
    -> BackboneConfig
  {
    guard options.float32Backbone != nil else { return config }
    let trained = try openBackbone(path).1
    guard trained.fingerprint == config.fingerprint else {
      throw Failure(
        Failure.badData,
        "\(path.printable): found other weights than those of \(options.backbone.printable), required the same")
    }
    return trained
  }

  /// Presets in their order, then the other data sets.
  private static func tasks(_ options: Study) throws(TrainingError) -> [StudyTask] {
    let presets = options.preset?.names ?? []
    let others = options.task.map(\.name).filter { !presets.contains($0) }
    return try (presets + others).map { name throws(TrainingError) in
      let files = options.task.first { $0.name == name }
      let training = files?.training ?? "\(options.data!)/\(name)/train.jsonl"
      let validation = files?.validation ?? "\(options.data!)/\(name)/validation.jsonl"
      let trainingLines = try LineSample.lineCount(training)
      let most = options.examples?.counts.last ?? 1
      guard trainingLines >= most else {
        throw TrainingError(
          .empty, file: training.printable, "found \(trainingLines) lines, required the \(most) of --examples")
      }
      let validationLines = min(try LineSample.lineCount(validation), options.validationLimit ?? .max)
      return StudyTask(
        name: name, preset: presets.contains(name) ? Preset(named: name) : nil, training: training,
        validation: validation, trainingLines: trainingLines, validationLines: validationLines)
    }
  }

  private static func settings(
    _ options: Study, _ config: BackboneConfig, _ dialect: TrainingDialect, _ tasks: [StudyTask]
  ) throws(TrainingError) -> [String: String] {
    func text(_ value: (some Any)?) -> String { value.map { "\($0)" } ?? "of the recipe" }
    var settings = [
      "backbone": String(config.fingerprint, radix: 16), "dialect": dialect.rawValue, "epochs": text(options.epochs),
      "batch": text(options.batch), "warm-up": text(options.warmupSteps), "threads": "\(options.threadCount)",
      "head": config.hasDecoder ? "none" : options.pooler ? "on the pooler" : "two layers",
    ]
    for method in options.methods.methods {
      settings["learning rate of \(method.rawValue)"] = text(options.learningRate?[method])
    }
    for task in tasks {
      settings["training data of \(task.name)"] = try checksum(task.training)
      settings["validation data of \(task.name)"] = "\(try checksum(task.validation)), \(task.validationLines) lines"
      let metrics = task.preset?.metrics ?? options.metric?.metrics
      settings["metrics of \(task.name)"] = metrics.map { $0.map(\.rawValue).joined(separator: ",") } ?? "usual"
      settings["form of \(task.name)"] = task.preset == nil ? "text and label" : "preset"
    }
    return settings
  }

  /// CRC-32 of a file's bytes, for telling data apart.
  private static func checksum(_ path: String) throws(TrainingError) -> String {
    do throws(FormatError) { return String(try Mapping(path: path).bytes.checksum, radix: 16) } catch {
      throw TrainingError(.cannotOpen, file: path.printable, "cannot open")
    }
  }

  /// Numbers of examples from which a run of `task` learns, ascending.
  func exampleCounts(_ task: StudyTask) -> [Int] { examples ?? [task.trainingLines] }

  /// All runs, seed by seed and methods in turns: wherever a study stops, what there is can be compared.
  var keys: [StudyKey] {
    (1...seeds).flatMap { seed in
      (0..<(examples?.count ?? 1)).flatMap { step in
        tasks.flatMap { task in
          methods.map { StudyKey(task: task.name, method: $0, examples: exampleCounts(task)[step], seed: seed) }
        }
      }
    }
  }

  func task(_ key: StudyKey) -> StudyTask { tasks.first { $0.name == key.task }! }

  /// The method's recipe with what was given in its place.
  func recipe(_ key: StudyKey) -> TrainingRecipe {
    var recipe = TrainingRecipe(MethodSettings(key.method, dialect: dialect), exampleCount: key.examples)
    if let epochs = options.epochs { recipe.epochs = epochs }
    if let batch = options.batch { recipe.batchSize = batch }
    if let rate = options.learningRate?[key.method] { recipe.learningRate = rate }
    return recipe
  }

  /// `tusk train` on the examples in `sample`.
  func trainingArguments(_ key: StudyKey, sample: String, output: String, log: String) -> [String] {
    let recipe = recipe(key)
    var arguments = [
      "train", key.method.trainsBackbone ? trainedBackbone : backbone, "--method", key.method.rawValue, "--dialect",
      dialect.rawValue, "--train", sample, "--output",
      output, "--name", key.task, "--log", log, "--seed", "\(key.seed)", "--epochs", "\(recipe.epochs)", "--batch",
      "\(recipe.batchSize)", "--learning-rate", "\(recipe.learningRate)", "--threads", "\(options.threadCount)",
      "--json",
    ]
    if let steps = options.warmupSteps { arguments += ["--warmup-steps", "\(steps)"] }
    if options.pooler { arguments.append("--pooler") }
    return arguments + judging(task(key), isEvaluation: false)
  }

  /// `tusk eval` of the task, or of the backbone with its head, that was trained.
  func evaluationArguments(_ key: StudyKey, output: String, validation: String) -> [String] {
    let model = key.method.trainsBackbone ? [output] : [backbone, "--task", output]
    var arguments = ["eval"] + model + ["--data", validation, "--threads", "\(options.threadCount)", "--json"]
    // As `tusk train` has it for methods without adapters.
    if config.hasDecoder, task(key).preset != nil, !key.method.hasAdapters, key.method != .lora {
      arguments.append("--task-prefix")
    }
    return arguments + judging(task(key), isEvaluation: true)
  }

  private func judging(_ task: StudyTask, isEvaluation: Bool) -> [String] {
    if let preset = task.preset { return ["--preset", preset.name] }
    guard let metrics = options.metric?.metrics else { return [] }
    let isOfNumbers = metrics.allSatisfy { $0.domains == [.numbers] }
    // Training judges nothing: the last epoch counts.
    if isEvaluation { return ["--metric", metrics.map(\.rawValue).joined(separator: ",")] }
    return isOfNumbers && !config.hasDecoder ? ["--regression"] : []
  }
}

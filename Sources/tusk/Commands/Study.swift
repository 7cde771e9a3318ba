import ArgumentParser
import CTuskSystem
import TuskConversion
import TuskTraining

struct Study: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train methods beside each other: what each costs and how well it answers.",
    discussion: """
      For every data set, number of examples, seed and method a task is trained and then judged on the validation data, which \
      no training sees. One seed draws the same examples for all methods.

        tusk study minilm.tusk --preset sst2,rte --data glue --methods compacter,lora --seeds 3 --output study
        tusk study t5.tusk --preset cola --data glue --methods adapter,bitfit --examples 100,1000 --output low
        tusk study int8.tusk --float32-backbone float32.tusk --preset sst2 --data glue --methods full,compacter --output full
        tusk study minilm.tusk --task mail=mail.jsonl,dev.jsonl --methods compacter --metric macro_f1 --output mail

      The folder of --output receives study.md, study.json and study.svg. Each run that ends is a line of its runs.jsonl: after \
      Ctrl-C the same command goes on where it stopped. More methods, seeds, examples or data sets may be asked for later; \
      other settings need another folder. Each run is a process of its own, so that its memory is that of one training.
      """)

  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @Option(help: "Presets separated by commas; see 'tusk train --help'.")
  var preset: NameList?

  @Option(
    help: "The folder with PRESET/train.jsonl and PRESET/validation.jsonl for each preset.", completion: .directory)
  var data: String?

  @Option(help: "Files of a data set, NAME=TRAIN,VALIDATION: those of a preset that are elsewhere, or others.")
  var task: [TaskFiles] = []

  @Option(help: "Metrics separated by commas, for data without preset; as of 'tusk eval'.")
  var metric: MetricList?

  @Option(
    help: ArgumentHelp(
      "Methods separated by commas.",
      discussion: TrainingMethod.allCases.map(\.rawValue).joined(separator: ", ") + "."))
  var methods: MethodList

  @Option(
    help: ArgumentHelp(
      "The same backbone with float32 weights, for the methods that train it: full, intrinsic-said.",
      discussion: "Without it they train the backbone of the others, which then must be of float32."),
    completion: .file(extensions: ["tusk"]))
  var float32Backbone: String?

  @Option(help: "Runs of each kind, by seeds from 1 on.")
  var seeds = 3

  @Option(help: "Numbers of training examples separated by commas; without it all there are.")
  var examples: CountList?

  @Option(help: "Judge by no more lines of the validation data than this.")
  var validationLimit: Int?

  @Option(help: "Passes over the examples; without it as of the recipe.")
  var epochs: Int?

  @Option(help: "Examples of one step, likewise.")
  var batch: Int?

  @Option(help: "Learning rates, likewise: METHOD=RATE separated by commas, or one for all.")
  var learningRate: RateList?

  @Option(help: "Steps in which the rate grows from 0, likewise.")
  var warmupSteps: Int?

  @Option(help: "Whose form of the methods: authors or adapterhub; as of 'tusk train'.")
  var dialect: TrainingDialect?

  @Flag(help: "Heads of encoders stand on the backbone's pooler: one layer, rather than two behind the first token.")
  var pooler = false

  @Option(help: "Threads; without it, one per physical core.")
  var threads: Int?

  @Option(name: .shortAndLong, help: "The folder of the study.", completion: .directory)
  var output: String

  @Flag(help: "Print one JSON object, that of study.json.")
  var json = false

  func validate() throws {
    for (name, value, limit) in [
      ("--seeds", seeds, 1000), ("--validation-limit", validationLimit ?? 1, 1_000_000_000),
      ("--epochs", epochs ?? 1, 100_000), ("--batch", batch ?? 1, 65_536), ("--threads", threads ?? 1, 1024),
    ] where !(1...limit).contains(value) {
      throw ValidationError("\(name) takes 1 to \(limit)")
    }
    if let warmupSteps, !(0...1_000_000_000).contains(warmupSteps) {
      throw ValidationError("--warmup-steps takes 0 to 1000000000")
    }
    let presets = preset?.names ?? []
    for name in presets where Preset(named: name) == nil {
      throw ValidationError("no such preset: \(name.printable); see 'tusk train --help'")
    }
    guard Set(task.map(\.name)).count == task.count else { throw ValidationError("--task names a data set twice") }
    guard !presets.isEmpty || !task.isEmpty else { throw ValidationError("give --preset or --task") }
    let elsewhere = Set(task.map(\.name))
    if data == nil, let missing = presets.first(where: { !elsewhere.contains($0) }) {
      throw ValidationError("where is \(missing)? Give --data, or --task \(missing)=TRAIN,VALIDATION")
    }
    if float32Backbone != nil, !methods.methods.contains(where: \.trainsBackbone) {
      throw ValidationError("--float32-backbone goes with --methods full and intrinsic-said")
    }
    if metric != nil, elsewhere.isSubset(of: presets) {
      throw ValidationError("presets have their metrics: --metric goes with data without one")
    }
    if let method = learningRate?.rates.keys.first(where: { !methods.methods.contains($0) }) {
      throw ValidationError("--learning-rate names \(method.rawValue), which is not among --methods")
    }
  }

  func run() throws {
    let plan = try StudyPlan(self)
    let folder = try StudyFolder(output, settings: plan.settings)
    Interruption.watch()
    let run = StudyRun(plan, folder)
    let outcome = try run.runAll()
    let report = StudyReport(plan, folder.records)
    try folder.write(report)
    if json {
      try StandardOutput.write(json: report)
    } else {
      for line in report.markdown { try StandardOutput.write(line: line) }
    }
    try outcome.requireComplete(of: output)
  }

  var threadCount: Int { threads ?? Int(tusk_physical_core_count()) }
}

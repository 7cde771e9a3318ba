import ArgumentParser
import CTuskSystem
import TuskConversion
import TuskTraining

struct Train: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Train a task on a backbone, which stays as it is.",
    discussion: """
      Examples are lines of JSON: "source" and "target", or "text", for encoders perhaps "text2", and "label". With --preset \
      they are lines of that data set, given to the model as the Compacter authors do: formats/presets.md.

        tusk train t5.tusk --method compacter --train dates.jsonl --validation more.jsonl --output dates.tusk
        tusk train minilm.tusk --method compacter --preset sst2 --train train.jsonl --validation dev.jsonl --output sst2.tusk
        tusk train t5.tusk --method lora --train x.jsonl --output x.tusk --epochs 5 --memory-budget 64MB

      Only the task's numbers learn; the backbone is mapped and may be int8. Memory is planned before the first step. After each \
      epoch the validation data are answered, and the best task is kept. Ctrl-C ends after the step at hand; the state beside \
      the output, TASK.tusk.state, lets the same command with --resume go on, bit for bit.
      """)

  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @OptionGroup(title: "Method") var method: MethodOptions

  @Option(help: "Examples to learn from, one per line.", completion: .file(extensions: ["jsonl"]))
  var train: String

  @Option(help: "Examples to judge by after each epoch.", completion: .file(extensions: ["jsonl"]))
  var validation: String?

  @Option(name: .shortAndLong, help: "The task file to write.", completion: .file(extensions: ["tusk"]))
  var output: String

  @Option(help: "The task's name; without it that of the output.")
  var name: String?

  @Option(
    help: ArgumentHelp(
      "The data set that the lines are of.", discussion: Preset.all.map(\.name).joined(separator: ", ") + "."))
  var preset: String?

  @Flag(help: "With --preset: repair what the authors did by mistake.")
  var correctPresets = false

  @Option(help: "Metrics separated by commas that judge an epoch, for data without --preset; as of 'tusk eval'.")
  var metric: MetricList?

  @Flag(help: "An encoder's head stands on the backbone's pooler: one layer, rather than two behind the first token.")
  var pooler = false

  @Flag(help: "An encoder's answers are numbers, not labels.")
  var regression = false

  @Option(help: "Take no more examples than this from the training data.")
  var limit: Int?

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions

  @Option(help: "Threads; without it, one per physical core.")
  var threads: Int?

  @Option(help: "Upper bound on private memory, such as 64MB.")
  var memoryBudget: ByteSize?

  @Flag(help: "Go on from the state beside the output.")
  var resume = false

  @Flag(help: "Say what would be trained and what memory that takes, and stop.")
  var planOnly = false

  @Option(
    help: "Write what happens into this file, one JSON object per line.", completion: .file(extensions: ["jsonl"]))
  var log: String?

  @Option(help: "Draw loss and evaluations into this SVG file.", completion: .file(extensions: ["svg"]))
  var chart: String?

  @Flag(help: "Print one JSON object at the end.")
  var json = false

  func validate() throws {
    if let preset, Preset(named: preset) == nil {
      throw ValidationError("no such preset: \(preset.printable); see 'tusk train --help'")
    }
    if preset == nil && correctPresets { throw ValidationError("--correct-presets goes with --preset") }
    if preset != nil && metric != nil { throw ValidationError("a preset has its metrics: give --preset or --metric") }
    if preset != nil && regression { throw ValidationError("a preset says itself whether answers are numbers") }
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads takes 1 to 1024") }
    if let limit, limit < 1 { throw ValidationError("--limit takes 1 or more") }
    if let name, !(1...255).contains(name.utf8.count) || name.unicodeScalars.contains(where: \.isControl) {
      throw ValidationError("--name takes 1 to 255 bytes without control characters")
    }
  }

  func run() throws {
    let inputs = [backbone, train] + (validation.map { [$0] } ?? [])
    for path in [output, log, chart].compactMap({ $0 }) { try requireDistinct(output: path, inputs: inputs) }
    let run = try TrainingRun(self)
    try run.describe()
    if planOnly { return }
    Interruption.watch()
    try run.train()
  }

  var threadCount: Int { threads ?? Int(tusk_physical_core_count()) }
}

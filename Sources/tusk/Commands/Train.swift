import ArgumentParser
import CTuskSystem
import Foundation
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
        tusk train t5.tusk --method compacter --train x.jsonl --output x.tusk --plan-only

      Only the task's numbers learn; the backbone is mapped and may be int8. Memory is planned before the first step; \
      --plan-only shows what a budget can choose from. After each epoch the validation data are answered, and the best task \
      is kept; without such data the last one is. The result is a task like any other, for 'tusk run', 'eval' and 'bundle'.

      The state of the run is saved beside the output, as TASK.tusk.state, and removed when the task is written. Ctrl-C ends \
      after the step at hand; the same command with --resume goes on, bit for bit, even if the program was killed.
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

  @OptionGroup(title: "Data") var data: DataOptions

  @OptionGroup(title: "Recipe") var recipe: RecipeOptions

  @Option(help: "Threads; without it, one per physical core.")
  var threads: Int?

  @Option(help: "Upper bound on private memory, such as 64MB.")
  var memoryBudget: ByteSize?

  @Flag(help: "Go on from the state beside the output.")
  var resume = false

  @Flag(help: "Begin anew, though there is a state beside the output.")
  var restart = false

  @Option(help: "Save the state at least this often, in seconds.")
  var saveSeconds = 30.0

  @Flag(help: "Print what would be trained and the plans for its memory, and stop.")
  var planOnly = false

  @Option(
    help: "Write what happens into this file, one JSON object per line.", completion: .file(extensions: ["jsonl"]))
  var log: String?

  @Option(help: "Draw loss and evaluations into this SVG file.", completion: .file(extensions: ["svg"]))
  var chart: String?

  @Flag(help: "Print one JSON object at the end.")
  var json = false

  func validate() throws {
    if validation == nil && data.metric != nil { throw ValidationError("--metric judges what --validation names") }
    if validation == nil && recipe.stopAfter != nil {
      throw ValidationError("--stop-after goes by evaluations, which take --validation")
    }
    if resume && restart { throw ValidationError("give --resume or --restart") }
    if planOnly && (resume || restart || log != nil || chart != nil) {
      throw ValidationError("--plan-only trains nothing: --resume, --restart, --log and --chart are of no use with it")
    }
    if let threads, !(1...1024).contains(threads) { throw ValidationError("--threads takes 1 to 1024") }
    if !(0...1e9).contains(saveSeconds) { throw ValidationError("--save-seconds takes 0 to 1000000000") }
    if let name, !(1...255).contains(name.utf8.count) || name.unicodeScalars.contains(where: \.isControl) {
      throw ValidationError("--name takes 1 to 255 bytes without control characters")
    }
  }

  func run() throws {
    let inputs = [backbone, train] + (validation.map { [$0] } ?? [])
    let outputs = [output, statePath] + [log, chart].compactMap { $0 }
    for path in outputs { try requireDistinct(output: path, inputs: inputs) }
    try requireDistinct(outputs: outputs)
    if !resume && !restart && !planOnly && FileManager.default.fileExists(atPath: statePath) {
      throw Failure(
        Failure.usage,
        "\(statePath.printable): the state of a run that has not come to its end; --resume goes on with it, --restart "
          + "begins anew")
    }
    let run = try TrainingRun(self)
    if planOnly {
      try run.printPlan()
    } else {
      run.describe()
      Interruption.watch()
      try run.train()
    }
  }

  var statePath: String { output + ".state" }
  var threadCount: Int { threads ?? Int(tusk_physical_core_count()) }
}

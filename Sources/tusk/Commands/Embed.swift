import ArgumentParser
import TuskConversion
import TuskEngine

struct Embed: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the embeddings of texts.",
    discussion: """
      Runs an encoder whose head makes embeddings, and writes one row per text: float32 [N, D] in NumPy's .npy format, \
      version 1.0. With --input, one text per line.

        tusk embed minilm.tusk "How far is it to Aspen?" --output question.npy
        tusk embed minilm.tusk --input sentences.txt --output sentences.npy
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var texts: TextOptions

  @Option(name: .shortAndLong, help: "The .npy file for the embeddings [N, D].", completion: .file(extensions: ["npy"]))
  var output: String

  @Option(help: "Most tokens of a text, those around it included; what is longer is cut.")
  var maxSourceTokens = 512

  func validate() throws {
    guard (1...1_000_000).contains(maxSourceTokens) else {
      throw ValidationError("--max-source-tokens takes 1 to 1000000")
    }
  }

  func run() throws {
    try requireDistinct(output: output, inputs: [model.backbone] + model.task + (texts.input.map { [$0] } ?? []))
    let model = try model.open()
    let answerer = try Answerer(
      model,
      PlanRequest(
        sourceTokens: maxSourceTokens, targetTokens: 1, threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes))
    try answerer.requireTokenizer()
    var rows: [Float] = []
    var count = 0
    try texts.eachText { text in
      let reply = try answerer.answer(try InputLine(text, isJSON: false), place: text.place)
      guard case .head(.embedding(let values)) = reply else {
        throw Failure(
          Failure.badData, "\(model.path.printable): its head makes no embeddings; 'tusk run' prints what it makes")
      }
      rows += values
      count += 1
    }
    try NumpyFile.write(rows, shape: [count, count == 0 ? 0 : rows.count / count], path: output)
  }
}

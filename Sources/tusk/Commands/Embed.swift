import ArgumentParser
import TuskConversion
import TuskEngine

struct Embed: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write the embeddings of texts.",
    discussion: """
      Runs an encoder whose head makes embeddings, and writes one row per text: float32 [N, D] in NumPy's .npy format, \
      version 1.0. With a file or standard input, one text per line. Rows are written as they come, so memory does not \
      grow with N; the output appears under its name only when it is complete.

        tusk embed minilm.tusk "How far is it to Aspen?" "Where is Aspen?" --output questions.npy
        tusk embed minilm.tusk --input sentences.txt --output sentences.npy
      """)

  @OptionGroup var model: ModelOptions
  @OptionGroup var texts: TextOptions
  @OptionGroup var length: LengthOptions

  @Option(name: .shortAndLong, help: "The .npy file for the embeddings [N, D].", completion: .file(extensions: ["npy"]))
  var output: String

  func run() throws {
    try requireDistinct(output: output, inputs: [model.backbone] + model.task + (texts.input.map { [$0] } ?? []))
    let model = try model.open()
    let answerer = try Answerer(
      model,
      PlanRequest(
        sourceTokens: length.maxSourceTokens, targetTokens: 1, threads: self.model.threadCount,
        budgetBytes: self.model.memoryBudget?.bytes), isCutting: length.truncate)
    try answerer.requireTokenizer()
    let width = try answerer.embeddingWidth()
    Interruption.watch()
    let file = try NumpyFile(path: output)
    var progress = CountProgress("text")
    defer {
      progress.finish()
      answerer.finish()
    }
    try texts.eachText { text in
      guard !Interruption.isRequested else {
        throw Failure(Failure.interrupted, "interrupted; nothing was written")
      }
      let line = try InputLine(text, isJSON: false)
      try answerer.answer(line, place: text.place, isFollowed: text.isFollowed) { result in
        guard case .head(.embedding(let values)) = try result.get() else {
          preconditionFailure("the head makes embeddings")
        }
        try file.append(values)
        progress.add()
      }
    }
    try file.finish(shape: [progress.count, width])
  }
}

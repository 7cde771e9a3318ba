import ArgumentParser
import CTuskSystem
import Foundation
import TuskConversion
import TuskFormat
import TuskTokenizer

struct Tokenize: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the ids and pieces of texts.",
    discussion: """
      Each text gives one line: its ids, ready for --input-ids, a tab, and its pieces. The end-of-sequence token \
      that a model expects is included.

        tusk tokenize t5.tusk "The house is wonderful."
        tusk tokenize t5.tusk --input sentences.txt --json
        tusk tokenize t5.tusk --input sentences.txt --time
      """)

  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @OptionGroup var texts: TextOptions

  @Flag(help: "Print one JSON object per text.")
  var json = false

  @Flag(
    help: "Print only how fast that is: all texts are read, then tokenized five times by one thread; the best time.")
  var time = false

  private static let timedRounds = 5

  func run() throws {
    let (file, _) = try openBackbone(backbone)
    guard let tokenizer = try openTokenizer(file, path: backbone) else {
      throw Failure(Failure.badData, "\(backbone.printable): the backbone was converted without a tokenizer")
    }
    if time { return try measure(tokenizer) }
    try texts.eachText { text in
      let ids = try ids(text, tokenizer)
      let pieces = ids.map { String(decoding: tokenizer.piece($0), as: UTF8.self) }
      if json {
        try StandardOutput.write(
          json: Answer(ids: ids, pieces: pieces, text: String(decoding: tokenizer.decode(ids), as: UTF8.self)))
      } else {
        let numbers = ids.map(String.init).joined(separator: ",")
        try StandardOutput.write(line: numbers + "\t" + pieces.joined(separator: " "))
      }
    }
  }

  private func ids(_ text: InputText, _ tokenizer: Tokenizer) throws(Failure) -> [Int32] {
    do throws(TokenizerError) { return try tokenizer.encode(text.bytes, appendingEndOfSequence: true) } catch {
      throw Failure(error, path: text.place, sectionOffset: 0)
    }
  }

  private func measure(_ tokenizer: Tokenizer) throws {
    var all: [InputText] = []
    try texts.eachText { all.append($0) }
    guard !all.isEmpty else { throw Failure(Failure.badData, "there is no text to tokenize") }
    var tokens = 0
    var best = Double.infinity
    for _ in 0..<Self.timedRounds {
      let start = tusk_monotonic_nanoseconds()
      tokens = 0
      for text in all { tokens += try ids(text, tokenizer).count }
      best = min(best, secondsSince(start))
    }
    let rate = Rate(texts: all.count, bytes: all.reduce(0) { $0 + $1.bytes.count }, tokens: tokens, seconds: best)
    if json { return try StandardOutput.write(json: rate) }
    try StandardOutput.write(
      line: "\(rate.texts.counted("text")), \(rate.bytes.byteText), \(tokens.counted("token")) in "
        + String(format: "%.4f s: %.2f MB/s", best, Double(rate.bytes) / best / 1e6))
  }

  struct Rate: Encodable {
    let texts: Int
    let bytes: Int
    let tokens: Int
    let seconds: Double
  }

  struct Answer: Encodable {
    let ids: [Int32]
    let pieces: [String]
    /// What the ids decode to.
    let text: String
  }
}

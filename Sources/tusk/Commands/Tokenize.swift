import ArgumentParser
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
      """)

  @Argument(help: "A backbone or bundle.", completion: .file(extensions: ["tusk"]))
  var backbone: String

  @OptionGroup var texts: TextOptions

  @Flag(help: "Print one JSON object per text.")
  var json = false

  func run() throws {
    let (file, _) = try openBackbone(backbone)
    guard let tokenizer = try openTokenizer(file, path: backbone) else {
      throw Failure(Failure.badData, "\(backbone.printable): the backbone was converted without a tokenizer")
    }
    try texts.eachText { text in
      let ids: [Int32]
      do throws(TokenizerError) {
        ids = try tokenizer.encode(text.bytes, appendingEndOfSequence: true)
      } catch { throw Failure(error, path: text.place, sectionOffset: 0) }
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

  struct Answer: Encodable {
    let ids: [Int32]
    let pieces: [String]
    /// What the ids decode to.
    let text: String
  }
}

import ArgumentParser
import TuskConversion
import TuskFormat
import TuskTokenizer

struct Verify: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Check every byte of a Tusk file.",
    discussion: """
      Opening a file proves its structure without touching the weights; verify reads the whole file once and also \
      checks every checksum, padding byte, code and number.

        tusk verify t5.tusk

      Exit code 0 if all is well, 65 with the place and the fault if not.
      """)

  @Argument(help: "A backbone, task or bundle.", completion: .file(extensions: ["tusk"]))
  var file: String

  func run() throws {
    let packed = try reading(file) { () throws(FormatError) in
      let packed = try PackedFile(path: file)
      try packed.verify()
      return packed
    }
    _ = try openTokenizer(packed, path: file)
    try StandardOutput.write(
      line: "\(file.printable): good, \(packed.sectionCount.counted("section")), "
        + "\(packed.mapping.count.grouped) bytes")
  }
}

import CTuskSystem
import Foundation
import TuskConversion
import TuskFormat
import TuskTokenizer

/// Opens a file that must have a backbone: a backbone file or a bundle.
func openBackbone(_ path: String) throws(Failure) -> (file: PackedFile, config: BackboneConfig) {
  let file = try reading(path) { () throws(FormatError) in try PackedFile(path: path) }
  guard let config = file.config else {
    throw Failure(Failure.badData, "\(path.printable): byte 12: a task file, but a backbone or bundle is required")
  }
  return (file, config)
}

/// The tokenizer of an open backbone file; nil if it has none.
func openTokenizer(_ file: PackedFile, path: String) throws(Failure) -> Tokenizer? {
  guard let section = file.section(.tokenizer) else { return nil }
  do throws(TokenizerError) { return try Tokenizer(section) } catch {
    throw Failure(error, path: path, sectionOffset: section.offset)
  }
}

extension TaskSection {
  var nameText: String { name.text }
}

extension MappedBytes {
  /// The bytes as UTF-8.
  var text: String {
    withSpan { span in
      span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }
  }
}

/// Refuses an output that is one of the inputs, or whose temporary file is: writing it would destroy what is read.
func requireDistinct(output: String, inputs: [String]) throws(Failure) {
  let written = [output, output + ".tmp"].compactMap { FileIdentity(path: $0) }
  for input in inputs {
    guard let identity = FileIdentity(path: input), written.contains(identity) else { continue }
    throw Failure(
      Failure.usage, "\(output.printable): the output is the input \(input.printable); choose another path")
  }
  var isDirectory: ObjCBool = false
  if FileManager.default.fileExists(atPath: output, isDirectory: &isDirectory), isDirectory.boolValue {
    throw Failure(Failure.inputOutput, path: output, errorNumber: EISDIR)
  }
}

/// Refuses outputs of one command that are one file.
func requireDistinct(outputs: [String]) throws(Failure) {
  var seen: Set<String> = []
  for output in outputs where !seen.insert(URL(fileURLWithPath: output).standardizedFileURL.path).inserted {
    throw Failure(Failure.usage, "\(output.printable): named for two outputs; choose another path for one")
  }
}

/// The regular files of a directory, none if it is no directory.
func files(in directory: String) -> [String] {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
  return names.sorted().map { directory + "/" + $0 }
}

/// What tells whether two paths are one file.
private struct FileIdentity: Equatable {
  let device: UInt64
  let inode: UInt64

  init?(path: String) {
    var status = stat()
    guard stat(path, &status) == 0 else { return nil }
    device = UInt64(status.st_dev)
    inode = UInt64(status.st_ino)
  }
}

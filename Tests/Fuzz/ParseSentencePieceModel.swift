import TuskConversion
import TuskFormat
import TuskTokenizer

/// Builds a section from the input as `spiece.model`; what is built must open and encode.
@_cdecl("LLVMFuzzerTestOneInput")
public func parseSentencePieceModel(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let model = [UInt8](UnsafeBufferPointer(start: start, count: count))
  guard let section = try? TokenizerBuilder.section(sentencePieceModel: model, vocabularySize: 4096) else { return 0 }
  do throws(TokenizerError) {
    let tokenizer = try Tokenizer(Mapping(copying: section).bytes)
    _ = try tokenizer.encode([UInt8]("A few  words, \u{FB01} \u{2603}</s>".utf8), appendingEndOfSequence: true)
  } catch { fatalError("the section does not open") }
  return 0
}

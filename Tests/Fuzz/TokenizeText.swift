import TuskFormat
import TuskTokenizer

/// Encodes a text with a section, both taken from the input: two bytes give the length of the text, the section follows.
/// Its length field is set right, so that the contents are reached.
@_cdecl("LLVMFuzzerTestOneInput")
public func tokenizeText(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  var input = [UInt8](UnsafeBufferPointer(start: start, count: count))
  guard input.count >= 2 else { return 0 }
  let textBytes = min(Int(input[0]) | Int(input[1]) << 8, input.count - 2)
  let text = [UInt8](input[2..<2 + textBytes])
  input.removeFirst(2 + textBytes)
  if input.count >= 16 {
    let bytes = UInt64(input.count)
    for index in 0..<8 { input[8 + index] = UInt8(truncatingIfNeeded: bytes >> UInt64(8 * index)) }
  }
  do throws(TokenizerError) {
    let tokenizer = try Tokenizer(Mapping(copying: input).bytes)
    let ids = try tokenizer.encode(text, appendingEndOfSequence: true)
    precondition(ids.allSatisfy { $0 >= 0 && Int($0) < tokenizer.vocabularySize }, "an id without a piece")
    let pair = try tokenizer.encodePair(text, Array(text.reversed()), maximumTokens: 9)
    precondition(pair.ids.count == pair.typeIds.count, "an id without a type")
    _ = tokenizer.decode(ids)
    _ = tokenizer.decode(ids, skippingSpecialTokens: false)
  } catch {}
  return 0
}

import Testing

@testable import TuskConversion

/// A safetensors file of a header and `valueCount` bytes of values.
private func safetensors(_ header: String, valueCount: Int = 0) -> [UInt8] {
  Array(littleEndian: UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: valueCount)
}

private func entry(_ name: String, _ begin: Int, _ end: Int, shape: String = "[1]", dtype: String = "F32") -> String {
  "\"\(name)\":{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

@Test func aSafetensorsFileGivesItsTensorsAndValues() throws {
  let header =
    "{\"__metadata__\":{\"format\":\"pt\"},\(entry("b", 0, 8, shape: "[2]")),\(entry("a", 8, 12, shape: "[]"))}  "
  let scratch = try ScratchDirectory()
  let path = try scratch.write(
    Array(littleEndian: UInt64(header.utf8.count)) + Array(header.utf8) + Array(floats: [1, -2.5, 3]),
    as: "x.safetensors")
  let checkpoint = try Checkpoint.open(file: path)
  #expect(checkpoint.tensorNames == ["a", "b"])
  let b = try #require(checkpoint.tensor("b"))
  #expect(b.shape == [2] && b.rowCount == 2 && b.rowElementCount == 1 && b.sourceFile == path)
  #expect(try checkpoint.readAll(b) == [1, -2.5])
  #expect(try checkpoint.readAll(try #require(checkpoint.tensor("a"))) == [3])
  #expect(checkpoint.storedByteCount == 12)
}

/// Each row is the smallest file that shows its fault.
@Test(
  arguments: [
    ([], .malformed, "at least 8"),
    (Array(littleEndian: UInt64(0)), .malformed, "requires '{'"),
    (Array(littleEndian: UInt64(1)), .malformed, "said to have 1 bytes"),
    (Array(littleEndian: UInt64.max), .malformed, "said to have"),
    (safetensors("[]"), .malformed, "requires '{'"),
    (safetensors("{}x"), .malformed, "after the end"),
    (safetensors("{}", valueCount: 1), .malformed, "the tensors end here"),
    (safetensors("{\"a\":{}}"), .malformed, "are required"),
    (safetensors("{\"a\":1}"), .malformed, "requires '{'"),
    (safetensors("{\"a\":{\"x\":1}}"), .malformed, "does not have"),
    (safetensors("{\(entry("a", 0, 4)),\(entry("a", 4, 8))}", valueCount: 8), .malformed, "appears twice"),
    (safetensors("{\(entry("a", 0, 4)),\(entry("b", 0, 4))}", valueCount: 4), .malformed, "begin at 0"),
    (safetensors("{\(entry("a", 0, 4)),\(entry("b", 5, 9))}", valueCount: 9), .malformed, "begin at 5"),
    (safetensors("{\(entry("a", 4, 8))}", valueCount: 8), .malformed, "begin at 4"),
    (safetensors("{\(entry("a", 4, 0))}", valueCount: 4), .malformed, "do not hold"),
    (safetensors("{\(entry("a", 0, 8))}", valueCount: 4), .malformed, "do not hold"),
    (safetensors("{\(entry("a", 0, 4, shape: "[2]"))}", valueCount: 4), .malformed, "do not hold"),
    (safetensors("{\(entry("a", 0, 4, shape: "[-1]"))}", valueCount: 4), .malformed, "negative"),
    (safetensors("{\(entry("a", 0, 4, shape: "[1.0]"))}", valueCount: 4), .malformed, "whole number"),
    (safetensors("{\(entry("a", 0, 4, shape: "[1e0]"))}", valueCount: 4), .malformed, "whole number"),
    (safetensors("{\(entry("a", 0, 4, shape: "[99999999999999999999]"))}", valueCount: 4), .malformed, "64 bits"),
    (
      safetensors("{\(entry("a", 0, 0, shape: "[9223372036854775807,9223372036854775807,0]"))}"), .malformed,
      "do not hold"
    ),
    (safetensors("{\(entry("a", 0, 4, shape: "[1,1,1,1,1,1,1,1,1]"))}", valueCount: 4), .malformed, "more than 8"),
    (
      safetensors("{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,2,4]}}", valueCount: 4), .malformed,
      "more than 2"
    ),
    (safetensors("{\(entry("a", 0, 1, dtype: "F8_E4M3"))}", valueCount: 1), .unsupported, "F8_E4M3"),
    (safetensors("{\"__metadata__\":{\"a\":1}}"), .malformed, "requires '\"'"),
    (safetensors("{\"__metadata__\":" + String(repeating: "{\"a\":", count: 100_000)), .malformed, "requires '\"'"),
    (Array("version https://git-lfs.github.com/spec/v1\n".utf8), .malformed, "git lfs pull"),
  ] as [([UInt8], ConversionError.Kind, String)])
func aBrokenSafetensorsFileIsRefused(bytes: [UInt8], kind: ConversionError.Kind, sentence: String) throws {
  let error = try #require(try conversionError(reading: bytes, as: "x.safetensors"))
  #expect(error.kind == kind)
  #expect(error.sentence.contains(sentence), "\(error)")
}

@Test func aHeaderBeyondTheLimitIsRefusedBeforeItIsRead() throws {
  let count = Int(Safetensors.maximumHeaderBytes) + 1
  let bytes = Array(littleEndian: UInt64(count)) + [UInt8](repeating: 0x20, count: count)
  let error = try #require(try conversionError(reading: bytes, as: "x.safetensors"))
  #expect(error.kind == .tooLarge)
  #expect(error.exitCode == 65)
}

@Test func integersAreListedButNotReadAsValues() throws {
  let scratch = try ScratchDirectory()
  let path = try scratch.write(safetensors("{\(entry("ids", 0, 8, dtype: "I64"))}", valueCount: 8), as: "x.safetensors")
  let checkpoint = try Checkpoint.open(file: path)
  let ids = try #require(checkpoint.tensor("ids"))
  #expect(ids.elementType == .int64)
  let error = #expect(throws: ConversionError.self) { try checkpoint.readAll(ids) }
  #expect(error?.kind == .unsupported && error?.subject == "ids")
}

import Foundation
import Testing

@testable import TuskConversion

@Test func bothFormatsOfTheGoldenBackboneHoldTheSameValues() throws {
  let safetensors = try Checkpoint.open(file: GoldenBackbone.directory + "/model.safetensors")
  let torch = try Checkpoint.open(file: GoldenBackbone.directory + "/pytorch_model.bin")
  #expect(safetensors.tensorNames.count == 38)
  for name in safetensors.tensorNames {
    let one = try #require(safetensors.tensor(name))
    let other = try #require(torch.tensor(name))
    #expect(one.shape == other.shape)
    #expect(try safetensors.readAll(one) == torch.readAll(other), "\(name)")
  }
  // torch.save writes every name of a tied tensor, safetensors only one.
  let aliases = torch.tensorNames.filter { !safetensors.tensorNames.contains($0) }
  #expect(aliases == ["decoder.embed_tokens.weight", "encoder.embed_tokens.weight"])
  #expect(torch.tensor("shared.weight")?.aliasOf == "decoder.embed_tokens.weight")
  #expect(torch.tensor("encoder.embed_tokens.weight")?.aliasOf == "decoder.embed_tokens.weight")
  #expect(torch.tensor("decoder.embed_tokens.weight")?.aliasOf == nil)
  #expect(torch.tensor("lm_head.weight")?.aliasOf == nil)
  #expect(torch.storedByteCount == safetensors.storedByteCount)
}

@Test func rowsAreReadWhereTheyAreAskedFor() throws {
  let checkpoint = try Checkpoint.open(directory: GoldenBackbone.directory)
  let tensor = try #require(checkpoint.tensor("shared.weight"))
  let all = try checkpoint.readAll(tensor)
  let rows = 100..<103
  var part = [Float](repeating: 0, count: rows.count * tensor.rowElementCount)
  try part.withUnsafeMutableBufferPointer { try checkpoint.readRows(of: tensor, rows: rows, into: $0) }
  #expect(part == Array(all[100 * 36..<103 * 36]))
  #expect(throws: ConversionError.self) { try checkpoint.readAll(tensor, maximumElementCount: 192 * 36 - 1) }
}

@Test func theFirstOfTheKnownFilesOfADirectoryIsOpened() throws {
  let scratch = try ScratchDirectory()
  let missing = #expect(throws: ConversionError.self) { try Checkpoint.open(directory: scratch.path) }
  #expect(missing?.kind == .cannotOpen && missing?.exitCode == 66)
  try scratch.write(try GoldenBackbone.bytes("pytorch_model.bin"), as: "pytorch_model.bin")
  let torch = try Checkpoint.open(directory: scratch.path)
  #expect(torch.tensor("shared.weight")?.sourceFile == scratch.path + "/pytorch_model.bin")
  try scratch.write(try GoldenBackbone.bytes("model.safetensors"), as: "model.safetensors")
  let safetensors = try Checkpoint.open(directory: scratch.path + "/")
  #expect(safetensors.tensor("shared.weight")?.sourceFile == scratch.path + "/model.safetensors")
}

/// A directory of two shards with one tensor each and the given index.
private func shardedError(weightMap: String) throws -> ConversionError? {
  let scratch = try ScratchDirectory()
  for (name, file) in [("a", "1.safetensors"), ("b", "2.safetensors")] {
    let header = "{\"\(name)\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    try scratch.write(
      Array(littleEndian: UInt64(header.utf8.count)) + Array(header.utf8) + Array(floats: [7]), as: file)
  }
  try scratch.write(
    Array("{\"metadata\":{\"total_size\":8},\"weight_map\":\(weightMap)}".utf8), as: "model.safetensors.index.json")
  do {
    let checkpoint = try Checkpoint.open(directory: scratch.path)
    #expect(checkpoint.tensorNames == ["a", "b"])
    #expect(try checkpoint.readAll(try #require(checkpoint.tensor("b"))) == [7])
    return nil
  } catch {
    return error as? ConversionError
  }
}

@Test func shardsAreReadThroughTheirIndex() throws {
  #expect(try shardedError(weightMap: "{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\"}") == nil)
}

@Test(
  arguments: [
    ("{}", .malformed, nil),
    ("[]", .malformed, nil),
    ("{\"a\":\"1.safetensors\",\"b\":\"../2.safetensors\"}", .malformed, "../2.safetensors"),
    ("{\"a\":\"1.safetensors\",\"b\":\"/etc/passwd\"}", .malformed, "/etc/passwd"),
    ("{\"a\":\"1.safetensors\",\"b\":\"..\"}", .malformed, ".."),
    ("{\"a\":\"1.safetensors\",\"b\":\"\"}", .malformed, ""),
    ("{\"a\":\"1.safetensors\",\"b\":\"3.safetensors\"}", .cannotOpen, nil),
    ("{\"a\":\"1.safetensors\",\"b\":\"1.safetensors\"}", .missingTensor, "b"),
    ("{\"a\":\"2.safetensors\",\"b\":\"1.safetensors\"}", .malformed, "a"),
    ("{\"a\":\"1.safetensors\",\"c\":\"2.safetensors\"}", .unknownTensor, "b"),
    ("{\"a\":\"1.safetensors\",\"b\":\"2.safetensors\",\"c\":\"2.safetensors\"}", .missingTensor, "c"),
  ] as [(String, ConversionError.Kind, String?)])
func anIndexThatItsShardsContradictIsRefused(weightMap: String, kind: ConversionError.Kind, subject: String?) throws {
  let error = try #require(try shardedError(weightMap: weightMap))
  #expect(error.kind == kind, "\(error)")
  if let subject { #expect(error.subject == subject) }
}

@Test func whatIsNoReadableFileIsRefusedWithoutBlocking() throws {
  let scratch = try ScratchDirectory()
  mkfifo(scratch.path + "/fifo", 0o600)
  symlink("loop", scratch.path + "/loop")
  for path in [
    scratch.path, scratch.path + "/fifo", scratch.path + "/none", scratch.path + "/loop", "/dev/null", "a\0b",
  ] {
    let error = #expect(throws: ConversionError.self) { try Checkpoint.open(file: path) }
    #expect(error?.kind == .cannotOpen && error?.exitCode == 66, "\(path)")
  }
}

@Test func aFileThatShrinksWhileItIsReadIsAnError() throws {
  let scratch = try ScratchDirectory()
  let bytes = try GoldenBackbone.bytes("model.safetensors")
  let path = try scratch.write(bytes, as: "model.safetensors")
  let checkpoint = try Checkpoint.open(file: path)
  truncate(path, bytes.count / 2)
  let error = #expect(throws: ConversionError.self) {
    try checkpoint.readAll(try #require(checkpoint.tensor("shared.weight")))
  }
  #expect(error?.kind == .cannotRead && error?.exitCode == 74)
}

@Test func messagesAreFitForATerminal() {
  let error = ConversionError(
    .malformed, file: "a\nb", offset: 3, subject: "\u{1B}[2J" + String(repeating: "x", count: 300), "found it.")
  #expect(error.description.hasPrefix("a\\nb: byte 3: '\\u{1B}[2J"), "\(error)")
  #expect(error.description.hasSuffix("...': found it."))
  #expect(error.description.count < 260)
}

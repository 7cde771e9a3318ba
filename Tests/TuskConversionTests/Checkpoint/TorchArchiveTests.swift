import Testing

@testable import TuskConversion

private let oneTensor = Pickle.dictionary([("w", Pickle.tensor(count: 2, shape: [2], strides: [1]))])
private let oneStorage = ["0": Array(floats: [1, 2])]

@Test func viewsSavedByTorchReadAsTheirCopies() throws {
  let views = try Checkpoint.open(file: fixturesDirectory + "/torch/views.bin")
  let copies = try Checkpoint.open(file: fixturesDirectory + "/torch/views.safetensors")
  #expect(views.tensorNames == copies.tensorNames)
  for name in views.tensorNames {
    let view = try #require(views.tensor(name))
    let copy = try #require(copies.tensor(name))
    #expect(view.shape == copy.shape && view.elementType == copy.elementType, "\(name)")
    guard view.elementType.isFloatingPoint else { continue }
    // Bit patterns, because one of the values is NaN.
    #expect(try views.readAll(view).map(\.bitPattern) == copies.readAll(copy).map(\.bitPattern), "\(name)")
  }
  #expect(views.tensor("row_major")?.aliasOf == "again")
  #expect(views.tensor("transposed")?.aliasOf == nil)
}

@Test func rowsOfATransposedViewAreGathered() throws {
  let views = try Checkpoint.open(file: fixturesDirectory + "/torch/views.bin")
  for name in ["transposed", "permuted", "every_third_column"] {
    let view = try #require(views.tensor(name))
    let all = try views.readAll(view)
    let rows = 1..<view.rowCount
    var part = [Float](repeating: .nan, count: rows.count * view.rowElementCount)
    try part.withUnsafeMutableBufferPointer { try views.readRows(of: view, rows: rows, into: $0) }
    #expect(part == Array(all[view.rowElementCount...]), "\(name)")
  }
}

@Test func aNestedStateDictIsFoundAndItsNeighboursAreNamed() throws {
  let nested = try Checkpoint.open(file: fixturesDirectory + "/torch/nested.bin")
  #expect(nested.tensorNames == ["w"])
  #expect(nested.ignoredEntries == ["epoch", "loss"])
  let scratch = try ScratchDirectory()
  let pickle = Pickle.dictionary([
    ("w", Pickle.tensor(count: 2, shape: [2], strides: [1])), ("epoch", Pickle.integer(3)),
  ])
  let flat = try Checkpoint.open(
    file: try scratch.write(torchArchive(pickle: pickle, storages: oneStorage), as: "x.bin"))
  #expect(flat.tensorNames == ["w"] && flat.ignoredEntries == ["epoch"])
}

@Test func theFormatBeforePyTorch16IsRefusedWithAdvice() throws {
  let error = #expect(throws: ConversionError.self) {
    try Checkpoint.open(file: fixturesDirectory + "/torch/legacy.bin")
  }
  #expect(error?.kind == .unsupported)
  #expect(error?.sentence.contains("torch.save(torch.load(") == true)
}

@Test(arguments: [false, true], [false, true])
func anArchiveIsReadStoredOrDeflatedWithOrWithoutZip64(isDeflated: Bool, isZip64: Bool) throws {
  // Longer than zlib's input window, so that inflating takes several steps.
  let values = (0..<100_000).map { Float($0 * $0 % 7919) }
  let tensor = Pickle.tensor(count: values.count, shape: [1000, 100], strides: [100, 1])
  var zip = ZipBuilder(isZip64: isZip64)
  zip.members = [
    .init(name: "m/data.pkl", content: Pickle.dictionary([("w", tensor)]), isDeflated: isDeflated),
    .init(name: "m/data/0", content: Array(floats: values), isDeflated: isDeflated),
  ]
  let scratch = try ScratchDirectory()
  let checkpoint = try Checkpoint.open(file: try scratch.write(zip.bytes(), as: "x.bin"))
  let w = try #require(checkpoint.tensor("w"))
  #expect(try checkpoint.readAll(w) == values)
  // Forwards with a gap, then backwards.
  var row = [Float](repeating: 0, count: 100)
  for index in [3, 900, 4] {
    try row.withUnsafeMutableBufferPointer { try checkpoint.readRows(of: w, rows: index..<index + 1, into: $0) }
    #expect(row == Array(values[index * 100..<index * 100 + 100]))
  }
}

/// Archives whose zip structure or storages are at fault.
private let brokenArchives: [(String, [UInt8], ConversionError.Kind, String)] = {
  func zip(_ change: (inout ZipBuilder) -> Void) -> [UInt8] {
    var zip = ZipBuilder()
    zip.members = [
      .init(name: "m/data.pkl", content: oneTensor), .init(name: "m/data/0", content: Array(floats: [1, 2])),
    ]
    change(&zip)
    return zip.bytes()
  }
  func view(_ shape: [Int], _ strides: [Int], offset: Int = 0, count: Int = 2) -> [UInt8] {
    let tensor = Pickle.tensor(count: count, offset: offset, shape: shape, strides: strides)
    return torchArchive(pickle: Pickle.dictionary([("w", tensor)]), storages: oneStorage)
  }
  let valid = zip { _ in }
  return [
    ("empty", [], .malformed, "found neither"),
    ("text", Array("hello".utf8), .malformed, "found neither"),
    ("pointer", Array("version https://git-lfs.github.com/spec/v1\n".utf8), .malformed, "git lfs pull"),
    ("tar", [UInt8](repeating: 0, count: 257) + Array("ustar".utf8), .unsupported, "before PyTorch 1.6"),
    ("only a start", [0x50, 0x4B, 3, 4], .malformed, "end-of-directory"),
    ("bytes behind the end", valid + [0], .malformed, "end-of-directory"),
    ("a gap before the end", Array(valid.dropLast(22)) + [0] + valid.suffix(22), .malformed, "does not end"),
    ("encrypted", zip { $0.members[1].flags = 1 }, .unsupported, "encrypted"),
    ("bzip2", zip { $0.members[1].method = 12 }, .unsupported, "method 12"),
    ("two sizes", zip { $0.members[1].declaredByteCount = 9 }, .malformed, "two different sizes"),
    ("header elsewhere", zip { $0.members[1].offsetShift = 20 }, .malformed, "overlaps"),
    ("header not there", zip { $0.members[0].offsetShift = 1 }, .malformed, "contradicts"),
    ("one name twice", zip { $0.members[1].name = "m/data.pkl" }, .malformed, "two members"),
    ("no pickle", zip { $0.members[0].name = "m/data.pk" }, .malformed, "found 0 members"),
    ("two pickles", zip { $0.members[1].name = "n/data.pkl" }, .malformed, "found 2 members"),
    ("a program", zip { $0.members[1].name = "m/constants.pkl" }, .unsupported, "TorchScript"),
    ("no storage", zip { $0.members[1].name = "m/data/1" }, .malformed, "not in the archive"),
    ("short storage", zip { $0.members[1].content.removeLast() }, .malformed, "7 bytes where 2 values"),
    ("wrong CRC", zip { $0.members[0].crc32 = 1 }, .malformed, "CRC-32"),
    (
      "inflates to less",
      zip {
        $0.members[1].isDeflated = true
        $0.members[1].content = Array(floats: [1])
        $0.members[1].declaredByteCount = 8
      }, .malformed, "inflates to 4 bytes"
    ),
    (
      "inflates to more",
      zip {
        $0.members[1].isDeflated = true
        $0.members[1].content = Array(floats: [1, 2, 3])
        $0.members[1].declaredByteCount = 8
      }, .malformed, "more than the 8 bytes"
    ),
    (
      "a bomb",
      zip {
        $0.members[1].isDeflated = true
        $0.members[1].content = [UInt8](repeating: 0, count: 1_000_000)
        $0.members[1].declaredByteCount = 0xFFFF_0000
      }, .malformed, "cannot inflate"
    ),
    ("not deflate", zip { $0.members[1].method = 8 }, .malformed, "deflate stream is invalid"),
    (
      "a part of a deflated storage",
      torchArchive(
        pickle: Pickle.dictionary([("w", Pickle.tensor(count: 2, shape: [1], strides: [1]))]), storages: oneStorage,
        isDeflated: true), .unsupported, "compressed storage"
    ),
    (
      "big-endian", torchArchive(pickle: oneTensor, storages: oneStorage, byteorder: "big"), .unsupported, "byte order"
    ),
    ("beyond the storage", view([3], [1]), .malformed, "does not fit"),
    ("offset beyond the storage", view([1], [1], offset: 2), .malformed, "does not fit"),
    ("stride beyond the storage", view([2], [2]), .malformed, "does not fit"),
    ("expanded", view([1 << 40], [0]), .malformed, "does not fit"),
    ("shape overflow", view([1 << 62, 4], [0, 0]), .malformed, "does not fit"),
    ("stride overflow", view([2, 1], [Int.max, 1]), .malformed, "does not fit"),
    ("negative shape", view([-1], [1]), .malformed, "is not built from"),
    ("negative offset", view([1], [1], offset: -1), .malformed, "does not fit"),
    ("rank 9", view(Array(repeating: 1, count: 9), Array(repeating: 1, count: 9)), .malformed, "rank 0 to 8"),
    ("shape without strides", view([2], []), .malformed, "is not built from"),
    ("a count the storage has not", view([2], [1], count: 3), .malformed, "8 bytes where 3 values"),
    ("a huge count", view([2], [1], count: Int.max), .malformed, "values are declared"),
    ("a negative count", view([0], [1], count: -1), .malformed, "persistent id"),
    (
      "one name twice in the dict",
      torchArchive(
        pickle: Pickle.dictionary([
          ("w", Pickle.tensor(count: 2, shape: [2], strides: [1])),
          ("w", Pickle.tensor(count: 2, shape: [1], strides: [1])),
        ]), storages: oneStorage), .malformed, "this name twice"
    ),
    (
      "an unlisted value",
      torchArchive(pickle: Pickle.dictionary([("optimizer", Pickle.string("adam"))])), .unsupported, "a string"
    ),
    (
      "a tensor beside a nested dict",
      torchArchive(
        pickle: Pickle.dictionary([
          ("state_dict", Pickle.emptyDictionary), ("w", Pickle.tensor(count: 2, shape: [2], strides: [1])),
        ]), storages: oneStorage), .unsupported, "beside the nested dict"
    ),
  ]
}()

@Test(arguments: brokenArchives)
func aBrokenArchiveIsRefused(what: String, bytes: [UInt8], kind: ConversionError.Kind, sentence: String) throws {
  let error = try #require(try conversionError(reading: bytes, as: "x.bin"), "\(what)")
  #expect(error.kind == kind, "\(error)")
  #expect(error.sentence.contains(sentence), "\(error)")
}

@Test func aPickleBeyondTheLimitIsRefusedBeforeItIsRead() throws {
  let pickle = Pickle.start + [UInt8](repeating: 0x4E, count: Int(Unpickler.maximumPickleBytes))
  let error = try #require(try conversionError(reading: torchArchive(pickle: pickle), as: "x.bin"))
  #expect(error.kind == .tooLarge && error.subject == "m/data.pkl")
}

@Test func anArchiveCommentIsNoFault() throws {
  var zip = ZipBuilder()
  zip.members = [
    .init(name: "m/data.pkl", content: oneTensor), .init(name: "m/data/0", content: Array(floats: [1, 2])),
  ]
  zip.comment = Array("PK\u{5}\u{6} is no end record here".utf8)
  #expect(try conversionError(reading: zip.bytes(), as: "x.bin") == nil)
}

import Testing

@testable import TuskConversion

private func unpicklingError(_ pickle: [UInt8]) -> ConversionError? {
  var unpickler = Unpickler(pickle, file: "x.bin")
  do throws(ConversionError) {
    _ = try unpickler.rootDictionary()
    return nil
  } catch {
    return error
  }
}

@Test func aPickleThatCallsAFunctionIsRefusedAtTheName() throws {
  let call = Pickle.global("os", "system") + Pickle.tuple([Pickle.string("touch /tmp/owned")]) + Pickle.reduce
  let error = try #require(unpicklingError(Pickle.dictionary([("w", call)])))
  #expect(error.kind == .forbidden)
  #expect(error.offset == 10)
  #expect(error.sentence.contains("'os.system'"))
  #expect(error.exitCode == 65)
}

private func call(_ callee: [UInt8], _ arguments: [UInt8]) -> [UInt8] {
  Pickle.start + callee + arguments + Pickle.reduce + Pickle.stop
}

private let hostilePickles: [(String, [UInt8], ConversionError.Kind, String)] = {
  let start = Pickle.start
  let tensor = Pickle.tensor(count: 1, shape: [1], strides: [1])
  let rebuild = Pickle.global("torch._utils", "_rebuild_tensor_v2")
  let float = Pickle.global("torch", "FloatStorage")
  func opcodes(_ text: String) -> [UInt8] { start + Array(text.utf8) }
  return [
    ("empty", [], .malformed, "no protocol"),
    ("protocol 4", [0x80, 4, 0x2E], .malformed, "protocol 4"),
    ("cut off", start, .malformed, "cut off"),
    ("nothing", opcodes("."), .malformed, "0 values"),
    ("two values", opcodes("}}."), .malformed, "2 values"),
    ("bytes left", opcodes("}.}"), .malformed, "1 bytes left"),
    ("an open mark", opcodes("(}."), .malformed, "1 values"),
    ("no dict", opcodes("N."), .unsupported, "None"),
    ("a list", opcodes("]."), .unsupported, "a list"),
    ("builtins.eval", start + Pickle.global("builtins", "eval"), .forbidden, "builtins.eval"),
    ("torch.load", start + Pickle.global("torch", "load"), .forbidden, "torch.load"),
    ("another module's storage", start + Pickle.global("evil", "FloatStorage"), .forbidden, "evil.FloatStorage"),
    ("stack global", start + [0x93], .forbidden, "opcode 147"),
    ("instance", opcodes("(ios\nsystem\n"), .forbidden, "('i')"),
    ("object", opcodes("(o"), .forbidden, "('o')"),
    ("new object", start + [0x81], .forbidden, "opcode 129"),
    ("extension", start + [0x82, 1], .forbidden, "opcode 130"),
    ("text persistent id", opcodes("P0\n"), .forbidden, "('P')"),
    ("duplicate", opcodes("N2"), .forbidden, "('2')"),
    ("frame", start + [0x95], .forbidden, "opcode 149"),
    ("call of a string", call(Pickle.string("a"), Pickle.emptyTuple), .forbidden, "calls a string"),
    ("call of a class", call(float, Pickle.emptyTuple), .forbidden, "torch storage of float32"),
    ("call of a tensor", start + tensor + Pickle.emptyTuple + Pickle.reduce, .forbidden, "calls a tensor"),
    ("call without a tuple", call(rebuild, Pickle.none), .malformed, "not a tuple"),
    ("call without arguments", call(rebuild, Pickle.emptyTuple), .malformed, "not built from"),
    (
      "OrderedDict of something",
      call(Pickle.global("collections", "OrderedDict"), Pickle.tuple([Pickle.none])), .malformed, "from arguments"
    ),
    (
      "parameter of something",
      call(
        Pickle.global("torch._utils", "_rebuild_parameter"),
        Pickle.tuple([Pickle.none, Pickle.none, Pickle.none])), .malformed, "a parameter is not built"
    ),
    ("state of a tensor", start + tensor + Pickle.emptyDictionary + Array("b".utf8), .forbidden, "state of an object"),
    ("state that is no dict", opcodes("}Nb"), .forbidden, "state of an object"),
    ("persistent id of None", opcodes("NQ"), .malformed, "persistent id"),
    ("short persistent id", opcodes(")Q"), .malformed, "persistent id"),
    (
      "storage of another type",
      start + Pickle.storage("0", float, count: 1)
        + Pickle.storage("0", Pickle.global("torch", "HalfStorage"), count: 1), .malformed, "two types"
    ),
    ("pop from nothing", opcodes("Q"), .malformed, "not on the stack"),
    ("pop through a mark", opcodes("N(Q"), .malformed, "not on the stack"),
    ("tuple without a mark", opcodes("Nt"), .malformed, "a mark"),
    ("tuple of too few", start + [0x4E, 0x86], .malformed, "needs 2 values"),
    ("append to None", opcodes("NNa"), .malformed, "None, which is not a list"),
    ("append to nothing", opcodes("Na"), .malformed, "needs 2 values"),
    ("item of a list", opcodes("]NNs"), .malformed, "not a dict"),
    ("key without a value", opcodes("}(Nu"), .malformed, "without a value"),
    ("recall of nothing", opcodes("h") + [7], .malformed, "recalls value 7"),
    ("memo of nothing", opcodes("q") + [0], .malformed, "not on the stack"),
    ("long string", opcodes("X") + [0xFF, 0xFF, 0xFF, 0xFF], .malformed, "cut off"),
    ("long number", start + [0x8A, 255], .malformed, "255 bytes"),
    ("name without an end", opcodes("c") + [UInt8](repeating: 0x61, count: 1000), .malformed, "longer than 255"),
    ("many values", start + [UInt8](repeating: 0x4E, count: 300_000), .tooLarge, "more than"),
    ("many marks", start + [UInt8](repeating: 0x28, count: 300_000), .tooLarge, "more than"),
    ("many lists", start + [UInt8](repeating: 0x5D, count: 300_000), .tooLarge, "more than"),
    // A tuple in a tuple, 300,000 deep: freeing it must not recurse.
    ("deep nesting", opcodes(")") + [UInt8](repeating: 0x85, count: 300_000), .tooLarge, "more than"),
  ]
}()

@Test(arguments: hostilePickles)
func aHostilePickleIsRefused(what: String, pickle: [UInt8], kind: ConversionError.Kind, sentence: String) throws {
  let error = try #require(unpicklingError(pickle), "\(what)")
  #expect(error.kind == kind, "\(error)")
  #expect(error.sentence.contains(sentence), "\(error)")
  #expect(error.offset != nil && error.subject == "data.pkl")
}

@Test func aHugeMemoIndexCostsNoMemory() {
  #expect(unpicklingError(Pickle.start + Array("}r".utf8) + [0xFF, 0xFF, 0xFF, 0xFF] + Array(".".utf8)) == nil)
}

/// Ten copies of ten copies of ..., forty levels: each level is one small tuple, and nothing ever walks them all.
@Test func valuesRecalledManyTimesAreNotCopied() throws {
  var pickle = Pickle.start + Array("}X".utf8) + [0, 0, 0, 0] + Array(")q".utf8) + [0]
  for _ in 0..<40 {
    pickle += Array("(".utf8) + (0..<10).flatMap { _ in [0x68, 0] as [UInt8] } + Array("tq".utf8) + [0]
    pickle += [0x86]  // with the value below it, so that the stack keeps one
  }
  pickle += Pickle.setItem + Pickle.stop
  #expect(unpicklingError(pickle) == nil)
}

@Test func aDictThatHoldsItselfIsNoTrap() throws {
  let pickle = Pickle.start + Array("}q".utf8) + [0] + Pickle.string("a") + [0x68, 0] + Pickle.setItem + Pickle.stop
  #expect(unpicklingError(pickle) == nil)
  let error = try #require(try conversionError(reading: torchArchive(pickle: pickle), as: "x.bin"))
  #expect(error.kind == .unsupported && error.subject == "a")
  // Nested under its own wrapper key, it is read as a state dict that holds a dict.
  let wrapped =
    Pickle.start + Array("}q".utf8) + [0] + Pickle.string("model") + [0x68, 0] + Pickle.setItem + Pickle.stop
  #expect(try conversionError(reading: torchArchive(pickle: wrapped), as: "x.bin")?.subject == "model")
}

@Test func anUntypedStorageTakesTheTypeOfItsTensor() throws {
  let storage = Pickle.storage("0", Pickle.global("torch", "UntypedStorage"), count: 8)
  func tensor(_ type: [UInt8]) -> [UInt8] {
    Pickle.global("torch._utils", "_rebuild_tensor_v3")
      + Pickle.tuple([
        storage, Pickle.integer(0), Pickle.tuple([Pickle.integer(2)]), Pickle.tuple([Pickle.integer(1)]), [0x89],
        Pickle.none, type,
      ]) + Pickle.reduce
  }
  let scratch = try ScratchDirectory()
  let pickle = Pickle.dictionary([("w", tensor(Pickle.global("torch", "float32")))])
  let checkpoint = try Checkpoint.open(
    file: try scratch.write(torchArchive(pickle: pickle, storages: ["0": Array(floats: [4, 5])]), as: "x.bin"))
  #expect(try checkpoint.readAll(try #require(checkpoint.tensor("w"))) == [4, 5])
  #expect(unpicklingError(Pickle.dictionary([("w", tensor(Pickle.none))]))?.kind == .malformed)
}

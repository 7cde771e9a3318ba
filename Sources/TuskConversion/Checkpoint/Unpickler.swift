/// Reads the pickle of a torch archive without executing anything: protocol 2, the opcodes `torch.save` emits for plain
/// tensors in dicts, and the names of `PickleGlobal`. Whatever else a pickle contains is an error with its byte offset.
///
/// Work and memory are linear in the pickle: an opcode takes constant time or consumes what it handles, and values are
/// small and kept in tables of bounded size.
///
/// - Source: CPython `Lib/pickletools.py` (opcodes), PyTorch `torch/_utils.py` (arguments of the rebuild functions)
struct Unpickler {
  static let maximumPickleBytes: UInt64 = 4 << 20
  static let maximumValueCount = 1 << 18
  static let maximumRank = 8

  let file: String
  let bytes: [UInt8]
  private(set) var position = 0
  private var opcodePosition = 0

  private var stack: [PickleValue] = []
  /// Stack heights at the open marks.
  private var marks: [Int] = []
  private var memo: [UInt32: PickleValue] = [:]
  private var elements: [PickleValue] = []
  private var lists: [[PickleValue]] = []
  private var dictionaries: [[(key: PickleValue, value: PickleValue)]] = []
  /// Values that tables hold beyond the stack.
  private var tabledCount = 0
  private(set) var storages: [PickleStorage] = []
  private var storageOfKey: [String: Int] = [:]
  private(set) var tensors: [PickleTensor] = []

  init(_ bytes: [UInt8], file: String) {
    self.bytes = bytes
    self.file = file
  }

  /// Runs the pickle and returns the pairs of the dict it builds.
  /// - Throws: `ConversionError.Kind.malformed`, `.forbidden`, `.tooLarge` or `.unsupported`; offsets count from the start
  ///   of the pickle.
  mutating func rootDictionary() throws(ConversionError) -> [(key: PickleValue, value: PickleValue)] {
    guard bytes.starts(with: [0x80, 2]) else {
      let found = bytes.count > 1 && bytes[0] == 0x80 ? "protocol \(bytes[1])" : "no protocol"
      throw failure("found \(found) where pickle protocol 2 is required")
    }
    position = 2
    while true {
      opcodePosition = position
      let opcode = try next()
      if opcode == UInt8(ascii: ".") { break }
      try perform(opcode)
      guard stack.count + tabledCount + memo.count + marks.count <= Unpickler.maximumValueCount else {
        throw failure("holds more than \(Unpickler.maximumValueCount) values", .tooLarge)
      }
    }
    guard position == bytes.count, marks.isEmpty, stack.count == 1 else {
      throw failure("the pickle stops with \(stack.count) values and \(bytes.count - position) bytes left")
    }
    guard let pairs = pairs(of: stack[0]) else {
      throw failure("the pickle holds \(stack[0].kindName) where a dict of tensors is required", .unsupported)
    }
    return pairs
  }

  /// The pairs of `value` when it is a dict.
  func pairs(of value: PickleValue) -> [(key: PickleValue, value: PickleValue)]? {
    guard case .dictionary(let index) = value else { return nil }
    return dictionaries[Int(index)]
  }

  /// The text of `value` when it is a string.
  func text(of value: PickleValue) throws(ConversionError) -> String? {
    guard case .string(let offset, let count) = value else { return nil }
    guard let text = String(validating: bytes[Int(offset)..<Int(offset) + Int(count)], as: UTF8.self) else {
      throw ConversionError(
        .malformed, file: file, offset: UInt64(offset), subject: TorchArchive.pickleName, "a string is not valid UTF-8")
    }
    return text
  }

  private func failure(_ sentence: String, _ kind: ConversionError.Kind = .malformed) -> ConversionError {
    ConversionError(kind, file: file, offset: UInt64(opcodePosition), subject: TorchArchive.pickleName, sentence)
  }
}

// MARK: - Opcodes

extension Unpickler {
  private mutating func perform(_ opcode: UInt8) throws(ConversionError) {
    switch opcode {
    case UInt8(ascii: "("): marks.append(stack.count)
    case UInt8(ascii: "N"): stack.append(.none)
    case 0x88: stack.append(.bool(true))
    case 0x89: stack.append(.bool(false))
    case UInt8(ascii: "K"): stack.append(.integer(try number(bytes: 1)))
    case UInt8(ascii: "M"): stack.append(.integer(try number(bytes: 2)))
    case UInt8(ascii: "J"): stack.append(.integer(Int(Int32(truncatingIfNeeded: try number(bytes: 4)))))
    case 0x8A: stack.append(.integer(try longInteger()))
    case UInt8(ascii: "G"):
      _ = try skip(8)
      stack.append(.real)
    case UInt8(ascii: "X"):
      let count = try number(bytes: 4)
      stack.append(.string(offset: Int32(try skip(count)), count: Int32(count)))
    case UInt8(ascii: "c"): stack.append(.global(try global()))
    case UInt8(ascii: ")"): stack.append(.tuple(offset: 0, count: 0))
    case 0x85: try appendTuple(1)
    case 0x86: try appendTuple(2)
    case 0x87: try appendTuple(3)
    case UInt8(ascii: "t"): try appendTuple(try popMark())
    case UInt8(ascii: "]"):
      lists.append([])
      tabledCount += 1
      stack.append(.list(Int32(lists.count - 1)))
    case UInt8(ascii: "}"): appendDictionary()
    case UInt8(ascii: "a"): try extendList(by: 1)
    case UInt8(ascii: "e"): try extendList(by: try popMark())
    case UInt8(ascii: "s"): try extendDictionary(by: 2)
    case UInt8(ascii: "u"): try extendDictionary(by: try popMark())
    case UInt8(ascii: "q"): try remember(try number(bytes: 1))
    case UInt8(ascii: "r"): try remember(try number(bytes: 4))
    case UInt8(ascii: "h"): try recall(try number(bytes: 1))
    case UInt8(ascii: "j"): try recall(try number(bytes: 4))
    case UInt8(ascii: "Q"): try appendStorage()
    case UInt8(ascii: "R"): try reduce()
    case UInt8(ascii: "b"): try build()
    default:
      let name = Unicode.Scalar(opcode).isASCII ? " ('\(String(Unicode.Scalar(opcode)).printable)')" : ""
      throw failure("found the opcode \(opcode)\(name), which a file of plain tensors does not use", .forbidden)
    }
  }

  private mutating func next() throws(ConversionError) -> UInt8 {
    guard position < bytes.count else { throw failure("the pickle is cut off") }
    position += 1
    return bytes[position - 1]
  }

  /// Passes over `count` bytes and returns where they begin.
  private mutating func skip(_ count: Int) throws(ConversionError) -> Int {
    guard count <= bytes.count - position else { throw failure("the pickle is cut off") }
    position += count
    return position - count
  }

  /// An unsigned little-endian number.
  private mutating func number(bytes count: Int) throws(ConversionError) -> Int {
    let start = try skip(count)
    return bytes[start..<start + count].reversed().reduce(0) { $0 << 8 | Int($1) }
  }

  /// A signed number of a stated count of bytes.
  private mutating func longInteger() throws(ConversionError) -> Int {
    let count = try number(bytes: 1)
    guard count <= 8 else { throw failure("a number has \(count) bytes; at most 8 are required for any size") }
    let start = try skip(count)
    var bits: UInt64 = 0
    for (index, byte) in bytes[start..<start + count].enumerated() { bits |= UInt64(byte) << (8 * index) }
    let unused = 64 - 8 * count
    return count == 0 ? 0 : Int(Int64(bitPattern: bits << unused) >> unused)
  }

  private mutating func global() throws(ConversionError) -> PickleGlobal {
    let module = try line()
    let name = try line()
    guard let global = PickleGlobal(module: module, name: name) else {
      throw failure(
        "the pickle names '\(module.printable).\(name.printable)'; only plain tensors are read and nothing is executed",
        .forbidden)
    }
    return global
  }

  private mutating func line() throws(ConversionError) -> String {
    let window = bytes[position..<min(position + 256, bytes.count)]
    guard let end = window.firstIndex(of: 0x0A) else { throw failure("a name is cut off or longer than 255 bytes") }
    let text = String(decoding: window[..<end], as: UTF8.self)
    position = end + 1
    return text
  }

  private mutating func pop() throws(ConversionError) -> PickleValue {
    guard stack.count > (marks.last ?? 0) else { throw failure("the opcode needs a value that is not on the stack") }
    return stack.removeLast()
  }

  /// Closes the last mark and returns how many values are above it.
  private mutating func popMark() throws(ConversionError) -> Int {
    guard let mark = marks.popLast() else { throw failure("the opcode needs a mark that is not on the stack") }
    return stack.count - mark
  }

  /// Checks that `count` values above the last mark can be consumed.
  private func requireValues(_ count: Int) throws(ConversionError) {
    guard stack.count - (marks.last ?? 0) >= count else {
      throw failure("the opcode needs \(count) values that are not on the stack")
    }
  }

  private mutating func appendTuple(_ count: Int) throws(ConversionError) {
    try requireValues(count)
    let offset = elements.count
    elements += stack.suffix(count)
    tabledCount += count
    stack.removeLast(count)
    stack.append(.tuple(offset: Int32(offset), count: Int32(count)))
  }

  private mutating func appendDictionary() {
    dictionaries.append([])
    tabledCount += 1
    stack.append(.dictionary(Int32(dictionaries.count - 1)))
  }

  private mutating func extendList(by count: Int) throws(ConversionError) {
    try requireValues(count + 1)
    guard case .list(let index) = stack[stack.count - count - 1] else {
      throw failure("the opcode extends \(stack[stack.count - count - 1].kindName), which is not a list")
    }
    lists[Int(index)] += stack.suffix(count)
    tabledCount += count
    stack.removeLast(count)
  }

  private mutating func extendDictionary(by count: Int) throws(ConversionError) {
    try requireValues(count + 1)
    guard count % 2 == 0 else { throw failure("a dict is given a key without a value") }
    guard case .dictionary(let index) = stack[stack.count - count - 1] else {
      throw failure("the opcode extends \(stack[stack.count - count - 1].kindName), which is not a dict")
    }
    for key in stride(from: stack.count - count, to: stack.count, by: 2) {
      dictionaries[Int(index)].append((stack[key], stack[key + 1]))
    }
    tabledCount += count
    stack.removeLast(count)
  }

  private mutating func remember(_ index: Int) throws(ConversionError) {
    try requireValues(1)
    memo[UInt32(index)] = stack[stack.count - 1]
  }

  private mutating func recall(_ index: Int) throws(ConversionError) {
    guard let value = memo[UInt32(index)] else { throw failure("the pickle recalls value \(index), never stored") }
    stack.append(value)
  }

  /// An object's state: torch gives one only to a state dict, its `_metadata` of module versions, which carries no values.
  private mutating func build() throws(ConversionError) {
    try requireValues(2)
    guard case .dictionary = stack.removeLast(), case .dictionary = stack[stack.count - 1] else {
      throw failure("the pickle sets the state of an object that is not a dict", .forbidden)
    }
  }
}

// MARK: - Tensors

extension Unpickler {
  private func tupleElements(_ value: PickleValue) -> ArraySlice<PickleValue>? {
    guard case .tuple(let offset, let count) = value else { return nil }
    return elements[Int(offset)..<Int(offset) + Int(count)]
  }

  /// The tuple `('storage', type, key, location, count)` becomes a storage.
  private mutating func appendStorage() throws(ConversionError) {
    guard let fields = tupleElements(try pop()), fields.count == 5,
      case let base = fields.startIndex,
      try text(of: fields[base]) == "storage",
      case .global(.storageType(let elementType)) = fields[base + 1],
      let key = try text(of: fields[base + 2]), case .integer(let count) = fields[base + 4], count >= 0
    else {
      throw failure("a persistent id is not ('storage', type, key, location, count)")
    }
    let index = storageOfKey[key] ?? storages.count
    if index == storages.count {
      storages.append(PickleStorage(key: key, elementType: elementType, count: count))
      storageOfKey[key] = index
      tabledCount += 1
    }
    guard storages[index].elementType == elementType, storages[index].count == count else {
      throw failure("the storage '\(key.printable)' is given two types or counts")
    }
    stack.append(.storage(Int32(index)))
  }

  private mutating func reduce() throws(ConversionError) {
    try requireValues(2)
    guard let arguments = tupleElements(stack.removeLast()) else {
      throw failure("a call has arguments that are not a tuple")
    }
    let callee = stack.removeLast()
    guard case .global(let global) = callee else {
      throw failure("the pickle calls \(callee.kindName)", .forbidden)
    }
    switch global {
    case .orderedDictionary:
      guard arguments.isEmpty else { throw failure("an OrderedDict is built from arguments") }
      appendDictionary()
    case .rebuildParameter:
      guard arguments.count == 3, let data = arguments.first, case .tensor = data else {
        throw failure("a parameter is not built from (tensor, requires_grad, hooks)")
      }
      stack.append(data)
    case .rebuildTensor: try appendTensor(Array(arguments), isTyped: false)
    case .rebuildTypedTensor: try appendTensor(Array(arguments), isTyped: true)
    case .storageType, .elementType: throw failure("the pickle calls \(callee.kindName)", .forbidden)
    }
  }

  /// `(storage, first element, shape, strides, requires_grad, hooks[, element type][, metadata])` becomes a tensor.
  private mutating func appendTensor(_ arguments: [PickleValue], isTyped: Bool) throws(ConversionError) {
    let required = isTyped ? 7 : 6
    guard arguments.count == required || arguments.count == required + 1,
      case .storage(let index) = arguments[0], case .integer(let firstElement) = arguments[1],
      let shape = wholeNumbers(arguments[2]), let strides = wholeNumbers(arguments[3]), shape.count == strides.count
    else {
      throw failure(
        "a tensor is not built from (storage, offset, shape, strides, ...) of rank 0 to \(Unpickler.maximumRank)")
    }
    let storage = storages[Int(index)]
    let elementType: ElementType
    switch (storage.elementType, isTyped ? arguments[6] : .none) {
    case (let type?, .none): elementType = type
    case (nil, .global(.elementType(let type))): elementType = type
    default: throw failure("a tensor's element type is missing or given twice")
    }
    let storageCount = storage.elementType == nil ? storage.count / elementType.byteCount : storage.count
    guard Unpickler.fits(shape: shape, strides: strides, firstElement: firstElement, count: storageCount) else {
      throw failure(
        "a tensor of shape \(shape), strides \(strides) and offset \(firstElement) does not fit its storage "
          + "'\(storage.key.printable)' of \(storageCount) elements")
    }
    stack.append(.tensor(Int32(tensors.count)))
    tabledCount += 1
    tensors.append(
      PickleTensor(
        storage: Int(index), elementType: elementType, storageCount: storageCount, firstElement: firstElement,
        shape: shape, strides: strides))
  }

  /// The non-negative numbers of a tuple of at most `maximumRank`.
  private func wholeNumbers(_ value: PickleValue) -> [Int]? {
    guard let fields = tupleElements(value), fields.count <= Unpickler.maximumRank else { return nil }
    var numbers: [Int] = []
    for field in fields {
      guard case .integer(let number) = field, number >= 0 else { return nil }
      numbers.append(number)
    }
    return numbers
  }

  /// Whether a view has no more elements than its storage of `count` and its first and last element lie within.
  private static func fits(shape: [Int], strides: [Int], firstElement: Int, count: Int) -> Bool {
    guard firstElement >= 0, firstElement <= count, let elementCount = checkedElementCount(shape),
      elementCount <= count
    else { return false }
    guard elementCount > 0 else { return true }
    var last = firstElement
    for (extent, stride) in zip(shape, strides) where extent > 1 {
      let (distance, overflow) = stride.multipliedReportingOverflow(by: extent - 1)
      guard !overflow, distance < count - last else { return false }
      last += distance
    }
    return last < count
  }
}

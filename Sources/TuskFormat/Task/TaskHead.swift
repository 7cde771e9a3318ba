/// Which vector of an encoder's output enters a head.
public enum HeadInput: UInt16, CaseIterable, Sendable {
  case firstToken = 1
  /// The backbone's pooler, applied to the first token.
  case pooler = 2
  /// The mean over all tokens.
  case mean = 3
}

/// What the numbers of a head are.
public enum HeadOutput: UInt16, CaseIterable, Sendable {
  /// Logits of labels of which one holds.
  case exclusiveLabels = 1
  /// Logits of labels of which any may hold.
  case independentLabels = 2
  /// Regression.
  case numbers = 3
  case embedding = 4

  public var name: StaticString {
    switch self {
    case .exclusiveLabels: "exclusiveLabels"
    case .independentLabels: "independentLabels"
    case .numbers: "numbers"
    case .embedding: "embedding"
    }
  }
}

/// What a task makes of the output of an encoder: up to two layers over one vector.
public struct TaskHead: Equatable, Sendable {
  public var input: HeadInput
  public var output: HeadOutput
  /// Linear D -> any width, and the activation behind it.
  public var first: Int?
  public var firstActivation: Activation
  /// Linear from that width.
  public var second: Int?
  public var secondActivation: Activation
  /// Numbers that come out: D without layers.
  public var outWidth: Int
  /// `outWidth`, or 0 if the outputs have no names.
  public var labelCount: Int
  /// Whether the result is scaled to length 1.
  public var hasUnitLength: Bool

  package static let recordBytes = 64

  public init(
    input: HeadInput, output: HeadOutput, first: Int? = nil, firstActivation: Activation = .identity,
    second: Int? = nil, secondActivation: Activation = .identity, outWidth: Int, labelCount: Int = 0,
    hasUnitLength: Bool = false
  ) {
    self.input = input
    self.output = output
    self.first = first
    self.firstActivation = firstActivation
    self.second = second
    self.secondActivation = secondActivation
    self.outWidth = outWidth
    self.labelCount = labelCount
    self.hasUnitLength = hasUnitLength
  }

  /// The record; the numbers of its linears are as stored.
  func record(first: UInt32, second: UInt32) -> [UInt8] {
    var bytes = LittleEndianBytes(capacity: Self.recordBytes)
    for value in [input.rawValue, output.rawValue] { bytes.append(value) }
    for activation in [firstActivation, secondActivation] { bytes.append(UInt16(activation.rawValue)) }
    for value in [first, second, UInt32(outWidth), UInt32(labelCount), hasUnitLength ? 1 : 0] { bytes.append(value) }
    bytes.pad(to: Self.recordBytes)
    return bytes.bytes
  }
}

extension TaskSection {
  public var hasHead: Bool { word(44) == 1 }

  public var head: TaskHead? {
    guard hasHead else { return nil }
    let start = headOffset
    return TaskHead(
      input: HeadInput(rawValue: bytes.load(start))!, output: HeadOutput(rawValue: bytes.load(start + 2))!,
      first: optional(start + 8),
      firstActivation: Activation(rawValue: UInt32(bytes.load(start + 4, as: UInt16.self)))!,
      second: optional(start + 12),
      secondActivation: Activation(rawValue: UInt32(bytes.load(start + 6, as: UInt16.self)))!,
      outWidth: word(start + 16), labelCount: word(start + 20), hasUnitLength: word(start + 24) & 1 != 0)
  }

  /// Name of output `position`, UTF-8.
  /// - Precondition: the task has a head with so many labels.
  public func label(at position: Int) -> MappedBytes {
    var start = labelsOffset
    for _ in 0..<position { start += 1 + Int(bytes.load(start, as: UInt8.self)) }
    precondition(start < labelsOffset + labelBytes, "no such label")
    return bytes.slice(start + 1..<start + 1 + Int(bytes.load(start, as: UInt8.self)))
  }

  /// Checks the head, whose linears are the last ones to be mentioned.
  func validateHead(_ mentions: inout Mentions) throws(FormatError) {
    guard hasHead else { return }
    let start = headOffset
    try shortField(start, in: 1...UInt16(HeadInput.allCases.count))
    try shortField(start + 2, in: 1...UInt16(HeadOutput.allCases.count))
    let hasFirst = word(start + 8) != 0
    let hasSecond = word(start + 12) != 0
    let lastActivation = UInt16(Activation.allCases.count - 1)
    try shortField(start + 4, in: 0...(hasFirst ? lastActivation : 0))
    try shortField(start + 6, in: 0...(hasSecond ? lastActivation : 0))
    guard hasFirst || !hasSecond else { throw FormatError(.invalidReference, at: bytes.offset + start + 12) }
    var width = dModel
    for field in [start + 8, start + 12] where word(field) != 0 {
      width = try mentionLinear(field, number: word(field) - 1, inWidth: width, &mentions)
    }
    guard word(start + 16) == width else {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + 16, found: UInt64(word(start + 16)), required: UInt64(width))
    }
    guard word(start + 20) == 0 || word(start + 20) == width else {
      throw FormatError(
        .wrongWidth, at: bytes.offset + start + 20, found: UInt64(word(start + 20)), required: UInt64(width))
    }
    _ = try bytes.field(start + 24, in: 0...1)
    try bytes.requireZero(start + 28..<start + TaskHead.recordBytes)
    try validateLabels(count: word(start + 20))
  }

  private func validateLabels(count: Int) throws(FormatError) {
    let end = labelsOffset + labelBytes
    var start = labelsOffset
    for _ in 0..<count {
      let length = start < end ? Int(bytes.load(start, as: UInt8.self)) : 0
      guard length > 0, length < end - start else {
        throw FormatError(.wrongTableLength, at: bytes.offset + start, found: UInt64(length), required: 1)
      }
      try bytes.slice(start + 1..<start + 1 + length).requireName()
      start += 1 + length
    }
    guard start == end else {
      throw FormatError(
        .wrongTableLength, at: bytes.offset + 64, found: UInt64(labelBytes), required: UInt64(start - labelsOffset))
    }
    try bytes.requirePadding(end..<tensorsOffset)
  }
}

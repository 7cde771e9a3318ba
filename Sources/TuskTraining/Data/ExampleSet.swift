/// Tokenized examples of a file, all tokens in one array. S source tokens, T target tokens.
public struct ExampleSet: Sendable {
  /// Path of the file, fit for a message.
  public let file: String
  /// What the examples' answers are.
  public let answers: Answers
  /// What would have been right, in the order of the examples; empty if it was not kept.
  public private(set) var golds: [Gold] = []
  /// Sources that were cut.
  public private(set) var truncatedCount = 0
  /// Tokens of the longest source and, of an encoder-decoder, the longest target.
  public private(set) var longestSource = 0
  public private(set) var longestTarget = 0
  private var sourceIds: [Int32] = []
  /// As many as source ids, or none while all are 0.
  private var typeIds: [Int32] = []
  private var hasTypes = false
  private var targetIds: [Int32] = []
  /// Where the ids of each example end.
  private var sourceEnds: [Int32] = []
  private var targetEnds: [Int32] = []
  /// Positions of labels, or numbers, of an encoder.
  private var labels: [Int32] = []
  private var numbers: [Float] = []
  private var lines: [Int32] = []

  public enum Answers: Equatable, Sendable {
    case labels(LabelSet)
    case numbers
    case texts

    /// What such answers are judged by if nobody says otherwise.
    public var usualMetrics: [Metric] { self == .numbers ? [.pearson, .spearman] : [.accuracy] }
  }

  init(_ answers: Answers, file: String) {
    self.answers = answers
    self.file = file
  }

  public var count: Int { lines.count }

  /// What the examples take in memory, in bytes; of right answers that are texts, without the texts.
  public var byteCount: Int {
    let tokens = sourceIds.count + typeIds.count + targetIds.count
    let perExample = sourceEnds.count + targetEnds.count + labels.count + numbers.count + lines.count
    return 4 * (tokens + perExample) + golds.count * MemoryLayout<Gold>.stride
  }

  public subscript(position: Int) -> TokenizedExample {
    let source = sourceRange(position)
    let target: TokenizedExample.Target =
      if !targetEnds.isEmpty {
        .tokens(Array(targetIds[targetRange(position)]))
      } else if !labels.isEmpty {
        .label(Int(labels[position]))
      } else {
        .number(numbers[position])
      }
    return TokenizedExample(
      sourceIds: Array(sourceIds[source]), typeIds: typeIds.isEmpty ? [] : Array(typeIds[source]), target: target,
      line: line(position))
  }

  public func sourceCount(_ position: Int) -> Int { sourceRange(position).count }

  /// 0 of an encoder.
  public func targetCount(_ position: Int) -> Int { targetEnds.isEmpty ? 0 : targetRange(position).count }

  /// Line of the file, from 1 on.
  public func line(_ position: Int) -> Int { Int(lines[position]) }

  /// Calls `body` with the source [S], its type ids [S] or none where all are 0, and the target [T] or none of an encoder.
  /// Allocates nothing.
  public func withTokens<Result, Failure: Error>(
    _ position: Int,
    _ body: (
      _ source: UnsafeBufferPointer<Int32>, _ types: UnsafeBufferPointer<Int32>?, _ target: UnsafeBufferPointer<Int32>
    ) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let range = sourceRange(position)
    return try sourceIds.withUnsafeBufferPointer { sources throws(Failure) in
      try typeIds.withUnsafeBufferPointer { types throws(Failure) in
        try targetIds.withUnsafeBufferPointer { targets throws(Failure) in
          try body(
            UnsafeBufferPointer(rebasing: sources[range]),
            types.isEmpty ? nil : UnsafeBufferPointer(rebasing: types[range]),
            UnsafeBufferPointer(rebasing: targets[targetEnds.isEmpty ? 0..<0 : targetRange(position)]))
        }
      }
    }
  }

  /// Calls `body` with the sources of `range`, one behind the other, and their type ids or none where all are 0.
  func withSources<Result, Failure: Error>(
    _ range: Range<Int>,
    _ body: (_ sources: UnsafeBufferPointer<Int32>, _ types: UnsafeBufferPointer<Int32>?) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let range = sourceRange(range.lowerBound).lowerBound..<sourceRange(range.upperBound - 1).upperBound
    return try sourceIds.withUnsafeBufferPointer { sources throws(Failure) in
      try typeIds.withUnsafeBufferPointer { types throws(Failure) in
        try body(
          UnsafeBufferPointer(rebasing: sources[range]),
          types.isEmpty ? nil : UnsafeBufferPointer(rebasing: types[range]))
      }
    }
  }

  /// The label of an encoder's example, as its position in the head's order.
  /// - Precondition: the answers are labels, of an encoder.
  public func label(_ position: Int) -> Int { Int(labels[position]) }

  /// The number of an encoder's example.
  /// - Precondition: the answers are numbers, of an encoder.
  public func number(_ position: Int) -> Float { numbers[position] }

  private func sourceRange(_ position: Int) -> Range<Int> { Self.range(position, sourceEnds) }

  private func targetRange(_ position: Int) -> Range<Int> { Self.range(position, targetEnds) }

  private static func range(_ position: Int, _ ends: [Int32]) -> Range<Int> {
    (position == 0 ? 0 : Int(ends[position - 1]))..<Int(ends[position])
  }

  /// Appends an example.
  /// - Throws: `.tooLong` when all sources or all targets together have more tokens than 32 bits count.
  mutating func append(_ example: TokenizedExample, isTruncated: Bool, gold: Gold?) throws(TrainingError) {
    guard sourceIds.count + example.sourceIds.count <= Int32.max, targetIds.count <= Int32.max / 2 else {
      throw TrainingError(.tooLong, file: file, line: example.line, "the file has more than \(Int32.max) tokens")
    }
    if !hasTypes, example.typeIds.contains(where: { $0 != 0 }) {
      hasTypes = true
      typeIds = Array(repeating: 0, count: sourceIds.count)
    }
    if hasTypes {
      typeIds += example.typeIds.isEmpty ? Array(repeating: 0, count: example.sourceIds.count) : example.typeIds
    }
    sourceIds += example.sourceIds
    sourceEnds.append(Int32(sourceIds.count))
    longestSource = max(longestSource, example.sourceIds.count)
    switch example.target {
    case .tokens(let ids):
      targetIds += ids
      targetEnds.append(Int32(targetIds.count))
      longestTarget = max(longestTarget, ids.count)
    case .label(let position): labels.append(Int32(position))
    case .number(let number): numbers.append(number)
    }
    lines.append(Int32(clamping: example.line))
    truncatedCount += isTruncated ? 1 : 0
    if let gold { golds.append(gold) }
  }
}

/// What would have been the right answer to an example.
public struct Gold: Equatable, Sendable {
  public enum Answer: Equatable, Sendable {
    /// Position in the order of the label set.
    case label(Int)
    case number(Double)
    /// Each of them is right, without white space at its ends; the first is what was to be written.
    case texts([String])
  }

  public var answer: Answer
  /// Examples of one question have the same number; nil where each stands for itself.
  public var question: Int?

  public init(_ answer: Answer, question: Int? = nil) {
    self.answer = answer
    self.question = question
  }
}

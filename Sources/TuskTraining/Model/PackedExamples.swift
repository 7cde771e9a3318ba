/// Rows of one example among those of all.
struct Segment {
  let start: Int
  let count: Int

  var range: Range<Int> { start..<start + count }
}

/// Examples that pass the model together, row behind row without padding. R source rows, Q target rows.
struct PackedExamples {
  /// Rows of each example in the encoder, those of a prompt first.
  private(set) var sources: [Segment] = []
  private(set) var targets: [Segment] = []
  /// [R] ids and types; 0 at the rows of a prompt.
  private(set) var sourceIds: [Int32] = []
  private(set) var typeIds: [Int32] = []
  /// [Q] what enters the decoder, and what it shall answer.
  private(set) var decoderIds: [Int32] = []
  private(set) var labelIds: [Int32] = []
  /// Of an encoder: the label, or the number, of each example.
  private(set) var labels: [Int] = []
  private(set) var numbers: [Float] = []

  let promptTokens: Int
  let decoderStartId: Int32

  /// Makes room once, so that later none is allocated.
  init(sourceRows: Int, targetRows: Int, examples: Int, promptTokens: Int, decoderStartId: Int) {
    self.promptTokens = promptTokens
    self.decoderStartId = Int32(decoderStartId)
    sources.reserveCapacity(examples)
    targets.reserveCapacity(examples)
    sourceIds.reserveCapacity(sourceRows)
    typeIds.reserveCapacity(sourceRows)
    decoderIds.reserveCapacity(targetRows)
    labelIds.reserveCapacity(targetRows)
    labels.reserveCapacity(examples)
    numbers.reserveCapacity(examples)
  }

  var count: Int { sources.count }
  var sourceRows: Int { sourceIds.count }
  var targetRows: Int { decoderIds.count }

  mutating func removeAll() {
    sources.removeAll(keepingCapacity: true)
    targets.removeAll(keepingCapacity: true)
    sourceIds.removeAll(keepingCapacity: true)
    typeIds.removeAll(keepingCapacity: true)
    decoderIds.removeAll(keepingCapacity: true)
    labelIds.removeAll(keepingCapacity: true)
    labels.removeAll(keepingCapacity: true)
    numbers.removeAll(keepingCapacity: true)
  }

  /// Appends example `position` of `set`; allocates nothing.
  mutating func append(_ set: ExampleSet, _ position: Int) {
    let start = sourceIds.count
    for _ in 0..<promptTokens {
      sourceIds.append(0)
      typeIds.append(0)
    }
    set.withTokens(position) { source, types, target in
      for index in source.indices {
        sourceIds.append(source[index])
        typeIds.append(types?[index] ?? 0)
      }
      if !target.isEmpty { targets.append(Segment(start: decoderIds.count, count: target.count)) }
      for index in target.indices {
        decoderIds.append(index == 0 ? decoderStartId : target[index - 1])
        labelIds.append(target[index])
      }
    }
    sources.append(Segment(start: start, count: sourceIds.count - start))
    guard set.targetCount(position) == 0 else { return }
    if case .numbers = set.answers { numbers.append(set.number(position)) } else { labels.append(set.label(position)) }
  }
}

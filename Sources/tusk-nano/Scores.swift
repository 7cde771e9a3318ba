import TuskFormat

extension Line {
  /// What a head says, fields separated by tabs: the answer, and of labels the score of each; or the numbers.
  mutating func add(_ scores: [Float], of section: TaskSection) {
    guard let head = section.head else { return }
    switch head.output {
    case .exclusiveLabels:
      var best = 0
      for index in scores.indices where scores[index] > scores[best] { best = index }
      addLabel(best, of: section)
    case .independentLabels:
      var isFirst = true
      for index in scores.indices where scores[index] > 0.5 {
        if !isFirst { add(",") }
        addLabel(index, of: section)
        isFirst = false
      }
    case .numbers, .embedding:
      for index in scores.indices {
        if index > 0 { add("\t") }
        addNumber(scores[index])
      }
      return
    }
    for index in scores.indices {
      add("\t")
      addLabel(index, of: section)
      add(" ")
      addNumber(scores[index])
    }
  }

  /// The name of an output, or its number.
  private mutating func addLabel(_ index: Int, of section: TaskSection) {
    guard let head = section.head, head.labelCount > 0 else {
      add(index)
      return
    }
    section.label(at: index).withSpan { span in
      for position in 0..<span.byteCount {
        add([unsafe span.unsafeLoad(fromByteOffset: position, as: UInt8.self)])
      }
    }
  }

  /// Six decimals; numbers of scores and embeddings are small.
  private mutating func addNumber(_ number: Float) {
    guard number.magnitude < 1e12 else {
      add(number.isNaN ? "nan" : number < 0 ? "-inf" : "inf")
      return
    }
    let millionths = Int64(Double(number.magnitude) * 1e6 + 0.5)
    if number < 0 && millionths > 0 { add("-") }
    add(millionths / 1_000_000)
    add(".")
    var digit: Int64 = 100_000
    while digit > 0 {
      add(millionths / digit % 10)
      digit /= 10
    }
  }
}

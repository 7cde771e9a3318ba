import TuskConversion

/// Lines drawn from a data file, so that runs learn from as many examples, and those of one seed from the same ones.
public enum LineSample {
  /// The lines of the file at `path`.
  /// - Throws: as `LineFile`; `.empty`.
  public static func lineCount(_ path: String) throws(TrainingError) -> Int {
    let file = try LineFile(path: path)
    while try file.next() != nil {}
    guard file.lineNumber > 0 else { throw TrainingError(.empty, file: path.printable, "the file has no examples") }
    return file.lineNumber
  }

  /// `count` lines in an order that `seed` decides, each with its end: of a larger count the smaller one is the beginning.
  /// - Parameter coversLabels: the first line of each label comes first, so that every label is in the sample.
  /// - Throws: `.empty` if the file has fewer lines, or more labels than `count`; as `LineFile`, and with `coversLabels` as
  ///   `LabelSet.collect`.
  public static func draw(
    _ count: Int, of path: String, seed: UInt64, coversLabels: Bool = false
  ) throws(TrainingError) -> [UInt8] {
    let file = try LineFile(path: path)
    var lines: [[UInt8]] = []
    while let line = try file.next() { lines.append(line) }
    guard lines.count >= count else {
      throw TrainingError(
        .empty, file: path.printable, "found \(lines.count) lines, required at least the \(count) that are to be drawn")
    }
    var order: [Int] = []
    EpochOrder.permutation(of: lines.count, seed: seed, epoch: 0, into: &order)
    if coversLabels { order = try withLabelsFirst(order, lines, path: path) }
    return order.prefix(count).flatMap { lines[$0] + [10] }
  }

  /// Positions with the first one of each label in front.
  private static func withLabelsFirst(
    _ order: [Int], _ lines: [[UInt8]], path: String
  ) throws(TrainingError) -> [Int] {
    var seen: Set<[UInt8]> = []
    var first: [Int] = []
    var rest: [Int] = []
    for position in order {
      let record = try DataRecord(lines[position], file: path.printable, line: position + 1)
      guard let label = record.value("label")?.labelText else {
        rest.append(position)
        continue
      }
      if seen.insert(Array(label.utf8)).inserted { first.append(position) } else { rest.append(position) }
    }
    return first + rest
  }
}

/// Columns of text: the first aligned left, the others right, remarks behind them left.
struct Table {
  private var rows: [[String]]
  private let hasRemarks: Bool

  init(_ titles: String..., hasRemarks: Bool = false) {
    rows = [titles]
    self.hasRemarks = hasRemarks
  }

  /// - Precondition: all rows have as many cells.
  init(rows: [[String]]) {
    self.rows = rows
    hasRemarks = false
  }

  mutating func add(_ cells: String...) { rows.append(cells) }

  var lines: [String] {
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      var line = ""
      for (column, cell) in row.enumerated() {
        let padding = String(repeating: " ", count: widths[column] - cell.count)
        let isLeft = column == 0 || (hasRemarks && column == row.count - 1)
        line += (column == 0 ? "" : "  ") + (isLeft ? cell + padding : padding + cell)
      }
      while line.last == " " { line.removeLast() }
      return line
    }
  }
}

extension Int {
  /// Digits in groups of three.
  var grouped: String {
    var text = ""
    for (position, digit) in String(magnitude).reversed().enumerated() {
      if position > 0 && position % 3 == 0 { text.append(",") }
      text.append(digit)
    }
    return (self < 0 ? "-" : "") + String(text.reversed())
  }

  /// "1 task", "2 tasks".
  func counted(_ noun: String) -> String { "\(grouped) \(noun)\(self == 1 ? "" : "s")" }
}

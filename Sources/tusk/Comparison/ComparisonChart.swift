import Foundation
import TuskConversion

/// The picture of a comparison: a row for each task, a column of bars for each cost.
struct ComparisonChart {
  private let comparison: Comparison
  private let title: String

  private let left = 40.0
  private let rowHeight = 30.0
  private let barWidth = 80.0
  private let columnWidth = 216.0

  private struct Column {
    let title: String
    let subtitle: String
    let color: String
    let values: [Double]
    let labels: [String]
  }

  init(_ comparison: Comparison, title: String) {
    self.comparison = comparison
    self.title = title
  }

  var svg: String {
    let columns = self.columns
    let names = comparison.tasks.map { String($0.name.printable.prefix(40)) }
    let nameWidth = max(names.map { SVG.width(of: $0) }.max() ?? 0, 60) + 24
    let top = 150.0
    var svg = SVG(width: Int(left + nameWidth + columnWidth * Double(columns.count) + left))
    svg.text("What tasks cost beside \(title.printable)", left, 42, size: 22, isBold: true)
    svg.text(job, left, 66, fill: "#555555")
    for (position, column) in columns.enumerated() {
      let x = left + nameWidth + columnWidth * Double(position)
      svg.text(column.title, x, top - 40, isBold: true)
      svg.text(column.subtitle, x, top - 22, size: 12, fill: "#555555")
      let most = column.values.max() ?? 0
      for (row, value) in column.values.enumerated() {
        let y = top + rowHeight * Double(row)
        let width = most > 0 ? barWidth * max(value, 0) / most : 0
        // What is there must be seen, even if it is too little for a pixel.
        svg.rectangle(x, y, max(width, value > 0 ? 1 : 0), rowHeight - 10, fill: column.color)
        svg.text(column.labels[row], x + width + 6, y + 15, size: 12)
      }
    }
    for (row, name) in names.enumerated() { svg.text(name, left, top + rowHeight * Double(row) + 15) }
    return svg.document(height: Int(top + rowHeight * Double(names.count) + 24))
  }

  private var job: String {
    var text = "\(comparison.backbone.parameters.grouped) parameters, \(comparison.backbone.bytes.byteText); "
    text += "\(comparison.isa), \(comparison.threads.counted("thread")), "
    text += comparison.sourceTokens.counted("source token")
    if let targetTokens = comparison.targetTokens { text += ", \(targetTokens.counted("target token"))" }
    return text
  }

  private var columns: [Column] {
    let tasks = comparison.tasks
    let bare = comparison.backbone
    var columns = [
      Column(
        title: "parameters", subtitle: "% of the backbone", color: "#0072b2", values: tasks.map(\.percentOfBackbone),
        labels: tasks.map { String(format: "%@ (%.3f %%)", $0.parameters.shortText, $0.percentOfBackbone) }),
      Column(
        title: "bytes on disk", subtitle: "backbone \(bare.bytes.byteText)", color: "#009e73",
        values: tasks.map { Double($0.bytes) }, labels: tasks.map(\.bytes.byteText)),
      Column(
        title: "private bytes added", subtitle: "to \(bare.privateBytes.byteText)", color: "#cc79a7",
        values: tasks.map { Double($0.privateBytes - bare.privateBytes) },
        labels: tasks.map { ($0.privateBytes - bare.privateBytes).byteText }),
      Column(
        title: "multiply-adds", subtitle: "a source token; \(Int(bare.encoderMultiplyAdds).shortText) bare",
        color: "#b8860b", values: tasks.map { Double($0.encoderMultiplyAdds) },
        labels: tasks.map { Int($0.encoderMultiplyAdds).shortText }),
      time(
        "encoding time added", "a source token", bare.encodeMsPerToken, tasks.map(\.addedEncodeMsPerToken)),
    ]
    if let decodeMs = bare.decodeMsPerToken {
      columns += [
        Column(
          title: "multiply-adds", subtitle: "a target token; \(Int(bare.decoderMultiplyAdds).shortText) bare",
          color: "#b8860b", values: tasks.map { Double($0.decoderMultiplyAdds) },
          labels: tasks.map { Int($0.decoderMultiplyAdds).shortText }),
        time("decoding time added", "a target token", decodeMs, tasks.compactMap(\.addedDecodeMsPerToken)),
      ]
    }
    return columns
  }

  private func time(_ title: String, _ token: String, _ bareMs: Double, _ addedMs: [Double]) -> Column {
    Column(
      title: title, subtitle: String(format: "%@; %.0f us bare", token, 1000 * bareMs), color: "#d55e00",
      values: addedMs, labels: addedMs.map { String(format: "%+.1f us (%+.1f %%)", 1000 * $0, 100 * $0 / bareMs) })
  }
}

extension Int {
  /// Three digits and K, M or G.
  fileprivate var shortText: String {
    let units = ["", " K", " M", " G"]
    var value = Double(self)
    var unit = 0
    while value.magnitude >= 999.5 && unit < units.count - 1 {
      value /= 1000
      unit += 1
    }
    return String(format: unit == 0 || value.magnitude >= 99.95 ? "%.0f" : "%.1f", value) + units[unit]
  }
}

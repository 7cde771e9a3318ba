import Foundation
import TuskConversion

/// The picture of a study: for each data set and their mean how well methods answer by what they train, and curves over the
/// number of examples. Points are named in a legend, so that no names run into each other.
struct StudyChart {
  private let report: StudyReport

  private let left = 64.0
  private let panelWidth = 300.0
  private let panelHeight = 210.0
  private let columnStep = 390.0
  private let rowStep = 310.0
  private let mostColumns = 3
  private let markSize = 15.0
  /// Between two methods at the same number of examples, if there is room.
  private let curveStep = 10.0

  /// Colours that the colour-blind tell apart, and then darker ones; marks carry numbers besides.
  private static let colors = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c3b00", "#56b4e9", "#b8860b", "#444444", "#5e3c99", "#a6611a",
    "#018571", "#7b3294",
  ]

  private struct Point {
    let method: Int
    let x: Double
    let value: StudyReport.Spread
  }

  private struct Panel {
    let title: String
    let subtitle: String
    let points: [Point]
    let isCurve: Bool
  }

  init(_ report: StudyReport) { self.report = report }

  var svg: String {
    let panels = costPanels + curvePanels
    let columns = min(max(panels.count, 1), mostColumns)
    var svg = SVG(width: Int(left + columnStep * Double(max(columns, 2))))
    svg.text("Methods on \(report.backbone.printable)", left - 24, 42, size: 22, isBold: true)
    svg.text(subtitle, left - 24, 66, fill: "#555555")
    var y = 100.0
    drawLegend(&svg, &y)
    for (position, panel) in panels.enumerated() {
      draw(
        panel, &svg, left: left + columnStep * Double(position % columns),
        top: y + 56 + rowStep * Double(position / columns))
    }
    let rows = (panels.count + columns - 1) / columns
    return svg.document(height: Int(y + 30 + rowStep * Double(rows)))
  }

  private var subtitle: String {
    let missing = report.missingRuns > 0 ? ", \(report.missingRuns.grouped) missing" : ""
    return "\(report.backboneParameters.grouped) parameters; \(report.runs.counted("run"))\(missing); "
      + "bars are standard deviations over seeds; points that would hide each other stand side by side"
  }

  private var costPanels: [Panel] {
    func panel(_ title: String, _ subtitle: String, _ value: (StudyReport.Method) -> StudyReport.Spread?) -> Panel {
      Panel(
        title: title, subtitle: subtitle,
        points: report.methods.enumerated().compactMap { position, method in
          value(method).map { Point(method: position, x: Double(max(method.trainedParameters, 1)), value: $0) }
        }, isCurve: false)
    }
    let panels = report.tasks.map { task in
      panel(task.name, "\(task.metrics.joined(separator: ", ")); \(task.examples.last!.counted("example"))") {
        report.result(task, $0.method)?.average
      }
    }
    guard panels.count > 1 else { return panels.filter { !$0.points.isEmpty } }
    return ([panel("mean of \(panels.count)", "data sets") { $0.average }] + panels).filter { !$0.points.isEmpty }
  }

  private var curvePanels: [Panel] {
    report.tasks.filter { $0.examples.count > 1 }.map { task in
      Panel(
        title: "\(task.name) by examples", subtitle: task.metrics.joined(separator: ", "),
        points: report.methods.enumerated().flatMap { position, method in
          task.examples.compactMap { count in
            report.result(task.name, method.method, count).map {
              Point(method: position, x: Double(count), value: $0.average)
            }
          }
        }, isCurve: true)
    }.filter { !$0.points.isEmpty }
  }

  private func color(_ method: Int) -> String { Self.colors[method % Self.colors.count] }

  /// One row for each method, in two columns.
  private func drawLegend(_ svg: inout SVG, _ y: inout Double) {
    let rows = (report.methods.count + 1) / 2
    for (position, method) in report.methods.enumerated() {
      let x = left - 24 + columnStep * Double(position / max(rows, 1))
      let lineY = y + 24 * Double(position % max(rows, 1))
      drawMark(&svg, position, x + markSize / 2, lineY - 5)
      svg.text(method.method, x + 26, lineY, isBold: true)
      svg.text(
        "\(method.trainedParameters.grouped) (\(String(format: "%.3g", method.percentOfBackbone)) %)", x + 146, lineY)
      if report.tasks.count > 1, method.average != nil {
        svg.text(StudyReport.hundredths(method.average), x + 364, lineY, anchor: .end)
      }
    }
    y += 24 * Double(rows)
  }

  private func drawMark(_ svg: inout SVG, _ method: Int, _ x: Double, _ y: Double) {
    svg.rectangle(x - markSize / 2, y - markSize / 2, markSize, markSize, fill: color(method))
    svg.text("\(method + 1)", x, y + 4, size: 11, fill: "#ffffff", isBold: true, anchor: .middle)
  }

  private func draw(_ panel: Panel, _ svg: inout SVG, left: Double, top: Double) {
    let scale = Scale(panel.points.map(\.x), panel.points.map(\.value), isCurve: panel.isCurve)
    let bottom = top + panelHeight
    func x(_ value: Double) -> Double { left + panelWidth * scale.share(ofX: value) }
    func y(_ value: Double) -> Double { bottom - panelHeight * min(max(scale.share(ofY: value), 0), 1) }
    svg.text(panel.title, left, top - 28, size: 16, isBold: true)
    svg.text(panel.subtitle, left, top - 11, size: 12, fill: "#555555")
    for tick in scale.yTicks {
      svg.line(left, y(tick), left + panelWidth, y(tick), stroke: "#dddddd")
      svg.text(String(format: "%.0f", 100 * tick), left - 8, y(tick) + 4, size: 12, fill: "#555555", anchor: .end)
    }
    for tick in scale.xTicks {
      svg.line(x(tick), bottom, x(tick), bottom + 5)
      svg.text(
        panel.isCurve ? Int(tick).grouped : Self.rounded(tick), x(tick), bottom + 19, size: 12, fill: "#555555",
        anchor: .middle)
    }
    svg.line(left, bottom, left + panelWidth, bottom)
    svg.text(
      panel.isCurve ? "training examples" : "trained parameters, without the head", left + panelWidth / 2, bottom + 38,
      size: 12, fill: "#555555", anchor: .middle)
    let places = places(panel, x)
    if panel.isCurve {
      for position in panel.points.indices.dropLast() {
        let (from, to) = (panel.points[position], panel.points[position + 1])
        guard from.method == to.method else { continue }
        svg.line(
          places[position], y(from.value.mean), places[position + 1], y(to.value.mean), stroke: color(from.method))
      }
    }
    for (point, place) in zip(panel.points, places) {
      guard let spread = point.value.spread else { continue }
      svg.line(place, y(point.value.mean - spread), place, y(point.value.mean + spread), stroke: color(point.method))
    }
    for (point, place) in zip(panel.points, places) { drawMark(&svg, point.method, place, y(point.value.mean)) }
  }

  /// 500, 3k, 20M: ticks are whole.
  private static func rounded(_ tick: Double) -> String {
    if tick >= 1e6 { return "\(Int(tick / 1e6))M" }
    return tick >= 1e3 ? "\(Int(tick / 1e3))k" : "\(Int(tick))"
  }

  /// Where each point stands: those that would hide each other stand side by side.
  private func places(_ panel: Panel, _ x: (Double) -> Double) -> [Double] {
    var places = panel.points.map { x($0.x) }
    if panel.isCurve {
      let ticks = Set(places).sorted()
      let count = Double(report.methods.count)
      let gap = zip(ticks, ticks.dropFirst()).map { $1 - $0 }.min() ?? panelWidth
      let step = min(curveStep, gap / (count + 1))
      for (position, point) in panel.points.enumerated() {
        places[position] += (Double(point.method) - (count - 1) / 2) * step
      }
      return places
    }
    var last = -Double.infinity
    for position in places.indices.sorted(by: { places[$0] < places[$1] }) {
      places[position] = max(places[position], last + markSize)
      last = places[position]
    }
    return places
  }
}

/// The axes of a panel: x by its logarithm, y from a whole step below the lowest bar to one above the highest.
private struct Scale {
  let xTicks: [Double]
  let yTicks: [Double]
  private let logs: ClosedRange<Double>

  private static let margin = 0.06
  private static let steps = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5]
  private static let mostSteps = 7.0

  init(_ x: [Double], _ values: [StudyReport.Spread], isCurve: Bool) {
    let low = values.map { $0.mean - ($0.spread ?? 0) }.min()!
    let high = values.map { $0.mean + ($0.spread ?? 0) }.max()!
    let step = Self.steps.first { (high - low) / $0 <= Self.mostSteps } ?? 1
    let first = (low / step).rounded(.down)
    let last = max((high / step).rounded(.up), first + 1)
    yTicks = stride(from: first, through: last, by: 1).map { $0 * step }
    let least = log10(x.min()!)
    let most = log10(x.max()!)
    let room = max((most - least) * Self.margin, 0.05)
    logs = least - room...most + room
    // 1, 2 and 5 by powers of ten, or fewer where that were too many.
    let factors = most - least > 2.5 ? [1.0] : most - least > 1.2 ? [1.0, 3.0] : [1.0, 2.0, 5.0]
    let range = logs
    let round = (Int(range.lowerBound.rounded(.down))...Int(range.upperBound.rounded(.up))).flatMap { power in
      factors.map { $0 * pow(10, Double(power)) }
    }.filter { range.contains(log10($0)) }
    // An axis has to say where it is.
    xTicks = isCurve ? Set(x).sorted() : round.isEmpty ? [x.min()!] : round
  }

  func share(ofX value: Double) -> Double {
    (log10(value) - logs.lowerBound) / (logs.upperBound - logs.lowerBound)
  }

  func share(ofY value: Double) -> Double { (value - yTicks[0]) / (yTicks[yTicks.count - 1] - yTicks[0]) }
}

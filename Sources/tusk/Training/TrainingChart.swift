import Foundation
import TuskConversion
import TuskTraining

/// The picture of a training run: loss by step, and the evaluations below it.
struct TrainingChart {
  private let curve: TrainingCurve
  private let title: String

  private let left = 70.0
  private let width = 640.0
  private let panelHeight = 200.0
  /// Points of a curve: more steps are averaged.
  private let mostPoints = 200

  init(_ curve: TrainingCurve, title: String) {
    self.curve = curve
    self.title = title
  }

  var svg: String {
    var svg = SVG(width: Int(left + width + 40))
    svg.text("Training \(title.printable)", left, 36, size: 20, isBold: true)
    panel(&svg, top: 80, name: "loss", points: losses, color: "#0072b2")
    guard !curve.averages.isEmpty else { return svg.document(height: 340) }
    panel(
      &svg, top: 350, name: "evaluation: \(curve.metricNames.joined(separator: ", "))",
      points: curve.averages.map { (Double($0.step), $0.value) }, color: "#d55e00", marksPoints: true)
    return svg.document(height: 610)
  }

  /// Means over as many steps as a point has.
  private var losses: [(x: Double, y: Double)] {
    let count = curve.losses.count
    let size = max(1, (count + mostPoints - 1) / mostPoints)
    return stride(from: 0, to: count, by: size).map { first in
      let points = curve.losses[first..<min(first + size, count)]
      return (Double(points.last!.step), points.reduce(0) { $0 + $1.value } / Double(points.count))
    }
  }

  private func panel(
    _ svg: inout SVG, top: Double, name: String, points: [(x: Double, y: Double)], color: String,
    marksPoints: Bool = false
  ) {
    guard let lastX = points.map(\.x).max(), var low = points.map(\.y).min(), var high = points.map(\.y).max() else {
      return
    }
    if high - low < 1e-9 { (low, high) = (low - 0.5, high + 0.5) }
    let bottom = top + panelHeight
    func x(_ value: Double) -> Double { left + width * value / max(lastX, 1) }
    func y(_ value: Double) -> Double { bottom - panelHeight * (value - low) / (high - low) }
    svg.text(name, left, top - 12, isBold: true)
    for part in 0...4 {
      let value = low + (high - low) * Double(part) / 4
      svg.line(left, y(value), left + width, y(value), stroke: "#dddddd")
      svg.text(String(format: "%.3g", value), left - 8, y(value) + 4, size: 12, fill: "#555555", anchor: .end)
      let step = lastX * Double(part) / 4
      svg.text(Int(step).grouped, x(step), bottom + 18, size: 12, fill: "#555555", anchor: .middle)
    }
    svg.line(left, bottom, left + width, bottom)
    svg.text("step", left + width / 2, bottom + 36, size: 12, fill: "#555555", anchor: .middle)
    for (from, to) in zip(points, points.dropFirst()) {
      svg.line(x(from.x), y(from.y), x(to.x), y(to.y), stroke: color)
    }
    guard marksPoints else { return }
    for point in points { svg.rectangle(x(point.x) - 3, y(point.y) - 3, 6, 6, fill: color) }
  }
}

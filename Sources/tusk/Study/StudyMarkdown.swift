import Foundation
import TuskConversion

extension StudyReport {
  /// The report for people: `study.md`.
  var markdown: [String] {
    var lines = ["# Study of \(backbone.printable)", "", introduction, ""]
    if missingRuns > 0 {
      lines += ["**\(missingRuns.counted("run")) of \((runs + missingRuns).grouped) missing.**", ""]
    }
    guard !methods.isEmpty else { return lines }
    lines += ["## How well they answer", "", scoring, ""] + Self.table(scores) + [""]
    lines += ["## What they cost", "", Self.costing, ""] + Self.table(costs) + [""]
    for task in tasks where task.examples.count > 1 {
      lines += ["## \(task.name): by examples", ""] + Self.table(curve(task)) + [""]
    }
    lines += ["![The study as a picture](study.svg)"]
    return lines
  }

  private var introduction: String {
    let sets = tasks.map { task in
      let counts = task.examples.map(\.grouped).joined(separator: " / ")
      return "\(task.name) (\(counts) training and \(task.validationExamples.grouped) validation examples)"
    }
    let shared = settings.filter { !$0.name.contains(" of ") && $0.name != "backbone" }
    return "Backbone of \(backboneParameters.grouped) parameters. Data: \(sets.joined(separator: ", ")). "
      + shared.map { "\($0.name) \($0.value)" }.joined(separator: ", ") + "."
  }

  private var scoring: String {
    let metrics = tasks.map { "\($0.name): \($0.metrics.joined(separator: " and "))" }
    return
      "In hundredths, mean and standard deviation over \(seedText), after the last epoch; of several metrics the mean "
      + "(\(metrics.joined(separator: "; "))). Trained parameters are those without the head."
  }

  private var seedText: String {
    let counts = results.map(\.seeds.count)
    let (least, most) = (counts.min() ?? 0, counts.max() ?? 0)
    return least == most ? most.counted("seed") : "\(least) to \(most.counted("seed"))"
  }

  private static let costing =
    "Private memory is the most at the end of a step of any run; time per epoch is that of the steps, and processor time that "
    + "of the whole process on all cores by its epochs: medians over seeds, means over data sets."

  private var scores: [[String]] {
    let hasMean = tasks.count > 1
    return [["method", "trained", "of the backbone"] + tasks.map(\.name) + (hasMean ? ["mean"] : [])]
      + methods.map { method in
        [method.method, method.trainedParameters.grouped, String(format: "%.3f %%", method.percentOfBackbone)]
          + tasks.map { Self.hundredths(result($0, method.method)?.average) }
          + (hasMean ? [Self.hundredths(method.average)] : [])
      }
  }

  private var costs: [[String]] {
    [
      [
        "method", "rate", "trained", "head", "bytes of a task file", "private memory", "s per epoch",
        "processor s per epoch",
      ]
    ]
      + methods.map { method in
        [
          method.method, "\(method.learningRate)", method.trainedParameters.grouped, method.headParameters.grouped,
          method.taskBytes.grouped, method.privateBytes.byteText, String(format: "%.2f", method.msPerEpoch / 1000),
          method.processorMsPerEpoch.map { String(format: "%.2f", $0 / 1000) } ?? "",
        ]
      }
  }

  private func curve(_ task: Task) -> [[String]] {
    [["method", "trained"] + task.examples.map(\.grouped)]
      + methods.map { method in
        [method.method, method.trainedParameters.grouped]
          + task.examples.map { Self.hundredths(result(task.name, method.method, $0)?.average) }
      }
  }

  static func hundredths(_ value: Spread?) -> String {
    guard let value else { return "" }
    let mean = String(format: "%.1f", 100 * value.mean)
    return value.spread.map { mean + String(format: " ± %.1f", 100 * $0) } ?? mean
  }

  /// Columns of Markdown, the first aligned left, the others right.
  private static func table(_ rows: [[String]]) -> [String] {
    let columns = rows[0].indices
    let widths = columns.map { column in max(rows.map { $0[column].count }.max() ?? 0, 3) }
    func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |" }
    let rule = columns.map {
      $0 == 0 ? String(repeating: "-", count: widths[$0]) : String(repeating: "-", count: widths[$0] - 1) + ":"
    }
    return [line(pad(rows[0], widths)), line(rule)] + rows.dropFirst().map { line(pad($0, widths)) }
  }

  private static func pad(_ cells: [String], _ widths: [Int]) -> [String] {
    cells.enumerated().map { column, cell in
      let padding = String(repeating: " ", count: widths[column] - cell.count)
      return column == 0 ? cell + padding : padding + cell
    }
  }
}

import Foundation
import TuskConversion

extension FileReport {
  /// The report for people.
  func lines(path: String) -> [String] {
    var lines = ["\(path.printable): \(kind), \(bytes.grouped) bytes", ""]
    if let backbone { lines += backbone.lines + [""] }
    if !tasks.isEmpty { lines += taskLines + [""] }
    lines += sectionLines
    if let provenance {
      lines += ["", "provenance"] + provenance.split(separator: "\n").map { "  " + String($0).printable }
    }
    return lines
  }

  private var taskLines: [String] {
    var table = Table("task", "parameters", "of backbone", "factors", "biases", "norms", "rule", "scaling", "bytes")
    for task in tasks {
      let parts = task.parametersByKind
      table.add(
        task.name.printable, task.parameters.grouped,
        String(format: "%.3f %%", task.percentOfBackbone), parts.factors.grouped,
        parts.biases.grouped, parts.norms.grouped, parts.rule.grouped, parts.scaling.grouped, task.bytes.grouped)
    }
    var lines = table.lines
    for task in tasks {
      lines += [
        "",
        "\(task.name.printable): \(task.origin == "authors" ? "authors' code" : "adapters library"), "
          + "\(task.adapters.counted("adapter")), backbone \(task.fingerprint)",
      ]
      guard task.adapters > 0 else { continue }
      lines.append(
        "  n \(list(task.phmDims)), rank \(list(task.factorRanks)), bottleneck \(list(task.bottleneckWidths)), "
          + task.activations.joined(separator: " and "))
    }
    return lines
  }

  private func list(_ values: [Int]) -> String { values.map(\.grouped).joined(separator: " and ") }

  /// Sections of one kind that follow each other are one line.
  private var sectionLines: [String] {
    var table = Table("section", "count", "offset", "bytes", "crc-32")
    var rest = sections[...]
    while let first = rest.first {
      let run = rest.prefix { $0.kind == first.kind }
      table.add(
        first.kind, run.count.grouped, first.offset.grouped, run.reduce(0) { $0 + $1.bytes }.grouped,
        run.count == 1 ? first.crc32 : "...")
      rest = rest.dropFirst(run.count)
    }
    return table.lines
  }
}

extension FileReport.Backbone {
  fileprivate var lines: [String] {
    [
      "fingerprint   \(fingerprint)",
      "architecture  \(architecture), \(layerCount) + \(decoderLayerCount) blocks, width \(dModel.grouped), "
        + "\(headCount) heads of \(dKv)",
      "feed-forward  width \(dFf.grouped), \(activation)\(gated ? ", gated" : "")",
      "positions     "
        + (relativeBiasBuckets == 0
          ? "learned" : "relative bias, \(relativeBiasBuckets) buckets up to \(relativeBiasMaxDistance)"),
      "vocabulary    \(vocabularySize.grouped), \(tokenizer ? "with" : "without") tokenizer, "
        + "\(tiedHead ? "tied head" : "head of its own")",
      "weights       \(weights)",
      "parameters    \(parameters.grouped)",
    ]
  }
}

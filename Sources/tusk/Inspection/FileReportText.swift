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
    var table = Table(
      "task", "parameters", "of backbone", "factors", "biases", "norms", "rule", "scaling", "prompts", "head",
      "bytes")
    for task in tasks {
      let parts = task.parametersByKind
      table.add(
        task.name.printable, task.parameters.grouped,
        String(format: "%.3f %%", task.percentOfBackbone), parts.factors.grouped,
        parts.biases.grouped, parts.norms.grouped, parts.rule.grouped, parts.scaling.grouped,
        parts.prompts.grouped, parts.head.grouped, task.bytes.grouped)
    }
    var lines = table.lines
    for task in tasks {
      lines += [
        "",
        "\(task.name.printable): \(task.originText), backbone \(task.fingerprint)",
      ]
      if !task.phmDims.isEmpty {
        var parts = ["n \(list(task.phmDims))", "rank \(list(task.factorRanks))"]
        if task.adapters > 0 { parts.append("bottleneck \(list(task.bottleneckWidths))") }
        lines.append(
          "  " + (parts + [task.activations.joined(separator: " and ")]).filter { !$0.isEmpty }.joined(separator: ", "))
      }
      lines += task.attachments.map { "  " + $0.line }
      lines += (task.head?.lines ?? []).map { "  " + $0 }
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

extension FileReport.Task {
  fileprivate var originText: String {
    switch origin {
    case "authors": "authors' code"
    case "peft": "PEFT"
    case "tasks": "made from other tasks"
    case "training": "trained by Tusk"
    default: "adapters library"
    }
  }
}

extension FileReport.Backbone {
  fileprivate var lines: [String] {
    let isEncoder = architecture == "encoder"
    let lastLayer = isEncoder ? "" : tiedHead ? ", tied head" : ", head of its own"
    return [
      "fingerprint   \(fingerprint)",
      "architecture  \(architecture), \(layerCount)\(isEncoder ? "" : " + \(decoderLayerCount)") blocks, width \(dModel.grouped), "
        + "\(headCount) heads of \(dKv)",
      "feed-forward  width \(dFf.grouped), \(activation)\(gated ? ", gated" : "")",
      "positions     "
        + (positions == "learned"
          ? "learned, \((maxPositions - positionOffset).grouped) tokens"
          : "relative bias, \(relativeBiasBuckets) buckets up to \(relativeBiasMaxDistance)"),
      "norms         \(norm), \(normPlacement) the sub-layers",
      "vocabulary    \(vocabularySize.grouped), \(tokenizer ? "with" : "without") tokenizer\(lastLayer)",
      "weights       \(weights)",
      "parameters    \(parameters.grouped)",
    ] + (head?.lines ?? [])
  }
}

import TuskConversion
import TuskEngine

/// The picture of a footprint: everything to one scale, and below it the private part enlarged.
struct FootprintChart {
  private let report: FootprintReport
  private let title: String
  private let references: [NamedSize]

  private let left = 40.0
  private let barWidth = 880.0
  private let barHeight = 46.0
  private let privateColor = "#d55e00"
  private let referenceColor = "#999999"

  init(_ report: FootprintReport, title: String, references: [NamedSize]) {
    self.report = report
    self.title = title
    self.references = references
  }

  var svg: String {
    var svg = SVG(width: 960)
    svg.text("Memory of one job: \(title.printable)", left, 42, size: 22, isBold: true)
    svg.text(report.job, left, 66, fill: "#555555")
    var y = 112.0
    drawWhole(&svg, &y)
    for reference in references { drawReference(reference, &svg, &y) }
    drawPrivate(&svg, &y)
    return svg.document(height: Int(y) + 24)
  }

  private var privateBytes: Int { report.measured?.private ?? report.planned.private }

  /// Bytes that the full width of the upper bars stands for.
  private var wholeBytes: Int {
    max(report.planned.mapped + privateBytes, references.map(\.size.bytes).max() ?? 0)
  }

  private func drawWhole(_ svg: inout SVG, _ y: inout Double) {
    svg.text("All memory, to one scale", left, y, size: 16, isBold: true)
    y += 14
    let segments = [
      Segment("backbone file", report.planned.mappedBackbone, "#0072b2"),
      Segment(
        report.tasks == 1 ? "task file" : "\(report.tasks) tasks", report.planned.mappedTasks, "#56b4e9"),
      Segment("private", privateBytes, privateColor),
    ].filter { $0.bytes > 0 }
    draw(segments, whole: wholeBytes, &svg, y)
    y += barHeight + 22
    drawLegend(segments, &svg, y)
    y += 24
    svg.text(
      "Mapped, shared by every process and droppable: \(report.planned.mapped.byteText).   "
        + "Private\(report.measured == nil ? " (planned)" : " (measured)"): \(privateBytes.byteText).",
      left, y, isBold: true)
    y += 44
  }

  private func drawReference(_ reference: NamedSize, _ svg: inout SVG, _ y: inout Double) {
    svg.text(
      "For comparison, private: \(reference.label.printable), \(reference.size.bytes.byteText)", left, y, size: 14)
    y += 10
    svg.rectangle(left, y, barWidth * Double(reference.size.bytes) / Double(wholeBytes), 30, fill: referenceColor)
    y += 72
  }

  private func drawPrivate(_ svg: inout SVG, _ y: inout Double) {
    let segments = report.parts.filter { $0.category.isPrivate && $0.bytes > 0 }.map { part in
      Segment(part.category.words, part.bytes, part.category.color)
    }
    let measured = report.measured?.private ?? 0
    let whole = max(report.planned.private, measured)
    svg.text("Private memory, enlarged", left, y, size: 16, isBold: true)
    y += 22
    svg.text("planned: \(report.planned.private.byteText)", left, y, fill: "#555555")
    y += 8
    draw(segments, whole: whole, &svg, y)
    y += barHeight + 22
    drawLegend(segments, &svg, y)
    if measured > 0 {
      y += 36
      svg.text("measured: \(measured.byteText)", left, y, fill: "#555555")
      y += 8
      draw([Segment("measured", measured, privateColor)], whole: whole, &svg, y)
      y += barHeight
    }
  }

  /// A stacked bar; labels stand in the segments that have room for them.
  private func draw(_ segments: [Segment], whole: Int, _ svg: inout SVG, _ y: Double) {
    var x = left
    for segment in segments {
      // What is there must be seen, even if it is too little for a pixel.
      let width = max(barWidth * Double(segment.bytes) / Double(max(whole, 1)), 2)
      svg.rectangle(x, y, width, barHeight, fill: segment.color)
      let label = "\(segment.label) \(segment.bytes.byteText)"
      if SVG.width(of: label) + 16 < width {
        svg.text(label, x + width / 2, y + barHeight / 2 + 5, fill: "#ffffff", isBold: true, anchor: .middle)
      }
      x += width
    }
  }

  private func drawLegend(_ segments: [Segment], _ svg: inout SVG, _ y: Double) {
    var x = left
    for segment in segments {
      let label = "\(segment.label) \(segment.bytes.byteText)"
      svg.rectangle(x, y - 11, 12, 12, fill: segment.color)
      svg.text(label, x + 18, y)
      x += SVG.width(of: label) + 44
    }
  }

  private struct Segment {
    let label: String
    let bytes: Int
    let color: String

    init(_ label: String, _ bytes: Int, _ color: String) {
      self.label = label
      self.bytes = bytes
      self.color = color
    }
  }
}

extension MemoryCategory {
  /// The name as words of a sentence.
  fileprivate var words: String {
    switch self {
    case .mappedBackbone: "backbone file"
    case .mappedTasks: "tasks"
    case .keyValueCache: "key/value cache"
    case .activations: "activations"
    case .tokenizer: "tokenizer"
    case .runtimeFloor: "runtime floor"
    }
  }

  /// Colours that the colour-blind tell apart.
  fileprivate var color: String {
    switch self {
    case .mappedBackbone: "#0072b2"
    case .mappedTasks: "#56b4e9"
    case .keyValueCache: "#8c3b00"
    case .activations: "#b8860b"
    case .tokenizer: "#cc79a7"
    case .runtimeFloor: "#009e73"
    }
  }
}

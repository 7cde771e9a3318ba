import Foundation
import TuskConversion
import TuskEngine
import TuskFormat

/// What tasks cost beside their bare backbone: the JSON object of `formats/json.md`.
struct Comparison: Encodable {
  let isa: String
  let sourceTokens: Int
  /// Nil for an encoder.
  let targetTokens: Int?
  let threads, rounds: Int
  let backbone: Backbone
  let tasks: [Task]

  struct Backbone: Encodable {
    let parameters, bytes, privateBytes: Int
    let encoderMultiplyAdds, decoderMultiplyAdds: UInt64
    let encodeMsPerToken: Double
    let decodeMsPerToken: Double?
  }

  struct Task: Encodable {
    let name: String
    let kinds: [String]
    let parameters: Int
    let percentOfBackbone: Double
    /// Of the task's section; a file of its own has a header besides.
    let bytes: Int
    /// Of a process that runs this task and has room for no other.
    let privateBytes: Int
    let encoderMultiplyAdds, decoderMultiplyAdds, headMultiplyAdds: UInt64
    /// Over the bare backbone; may be below 0 where the difference is lost in the noise.
    let addedEncodeMsPerToken: Double
    let addedDecodeMsPerToken: Double?
  }
}

extension Comparison.Task {
  init(_ task: Model.NamedTask, privateBytes: Int, encodeMs: Double, decodeMs: Double?) {
    let report = FileReport.Task(task.section)
    name = task.name
    kinds = report.attachments.map(\.kind)
    parameters = report.parameters
    percentOfBackbone = report.percentOfBackbone
    bytes = report.bytes
    self.privateBytes = privateBytes
    encoderMultiplyAdds = report.attachments.reduce(0) { $0 + $1.encoderMultiplyAdds }
    decoderMultiplyAdds = report.attachments.reduce(0) { $0 + $1.decoderMultiplyAdds }
    headMultiplyAdds = task.section.headCost.factored
    addedEncodeMsPerToken = encodeMs
    addedDecodeMsPerToken = decodeMs
  }
}

extension Comparison {
  /// The report for people.
  var lines: [String] {
    let job = "\(isa), \(threads.counted("thread")), \(sourceTokens.counted("source token"))"
    let isEncoder = targetTokens == nil
    var rows = [
      ["", "parameters", "of backbone", "bytes", "private", "multiply-adds", "ms"]
        + (isEncoder ? [] : ["multiply-adds", "ms"]),
      ["task", "", "", "on disk", "bytes", "/source token", "/token"] + (isEncoder ? [] : ["/target token", "/token"]),
      [
        "bare backbone", backbone.parameters.grouped, "", backbone.bytes.grouped, backbone.privateBytes.grouped,
        Int(backbone.encoderMultiplyAdds).grouped, Self.milliseconds(backbone.encodeMsPerToken),
      ] + (backbone.decodeMsPerToken.map { [Int(backbone.decoderMultiplyAdds).grouped, Self.milliseconds($0)] } ?? []),
    ]
    for task in tasks {
      rows.append(
        [
          task.name.printable, task.parameters.grouped, String(format: "%.3f %%", task.percentOfBackbone),
          task.bytes.grouped, task.privateBytes.grouped, Int(task.encoderMultiplyAdds).grouped,
          Self.added(task.addedEncodeMsPerToken),
        ] + (task.addedDecodeMsPerToken.map { [Int(task.decoderMultiplyAdds).grouped, Self.added($0)] } ?? []))
    }
    return [job + (targetTokens.map { ", " + $0.counted("target token") } ?? ""), ""] + Table(rows: rows).lines
  }

  static func milliseconds(_ value: Double) -> String { String(format: "%.4f", value) }
  static func added(_ value: Double) -> String { String(format: "%+.4f", value) }
}

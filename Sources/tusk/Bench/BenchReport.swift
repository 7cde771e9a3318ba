import Foundation
import TuskConversion

/// What `bench` prints: the JSON object of `formats/json.md`.
struct BenchReport: Encodable {
  let isa: String
  let sourceTokens, batch, threads, rounds: Int
  let loadMs: Double
  let encodeTokensPerSecond, encodeTokensPerSecondBest: Double
  let textsPerSecond: Double
  let weightBytesPerSource: Int
  let encodeGbPerSecond: Double
  let machineReadGbPerSecond: Double
  /// Multiply-adds with weights, the task's not counted.
  let encodeGmacPerSecond: Double
  let machineInt8GmacPerSecond: Double
  /// Nil on a machine without AVX2.
  let machineAvx2Int8GmacPerSecond: Double?
  /// Of the machine's read bandwidth, decoding or of an encoder encoding; nil where that could not be measured.
  let shareOfReadBandwidth: Double?
  /// Nil for an encoder; its members stand among the others.
  let decode: Decode?
  /// Nil without a task.
  let taskSwitchMicroseconds: Double?
  let outputHash: String
  let planned: FootprintReport.Planned

  struct Decode {
    let targetTokens: Int
    let tokensPerSecond, tokensPerSecondBest: Double
    let weightBytesPerStep: Int
    let gbPerSecond: Double
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    try container.encode(isa, forKey: .isa)
    try container.encode(sourceTokens, forKey: .sourceTokens)
    try container.encode(batch, forKey: .batch)
    try container.encode(threads, forKey: .threads)
    try container.encode(rounds, forKey: .rounds)
    try container.encode(loadMs, forKey: .loadMs)
    try container.encode(encodeTokensPerSecond, forKey: .encodeTokensPerSecond)
    try container.encode(encodeTokensPerSecondBest, forKey: .encodeTokensPerSecondBest)
    try container.encode(textsPerSecond, forKey: .textsPerSecond)
    try container.encode(weightBytesPerSource, forKey: .weightBytesPerSource)
    try container.encode(encodeGbPerSecond, forKey: .encodeGbPerSecond)
    if let decode {
      try container.encode(decode.targetTokens, forKey: .targetTokens)
      try container.encode(decode.tokensPerSecond, forKey: .decodeTokensPerSecond)
      try container.encode(decode.tokensPerSecondBest, forKey: .decodeTokensPerSecondBest)
      try container.encode(decode.weightBytesPerStep, forKey: .weightBytesPerStep)
      try container.encode(decode.gbPerSecond, forKey: .decodeGbPerSecond)
    }
    try container.encode(machineReadGbPerSecond, forKey: .machineReadGbPerSecond)
    try container.encodeIfPresent(shareOfReadBandwidth, forKey: .shareOfReadBandwidth)
    try container.encode(encodeGmacPerSecond, forKey: .encodeGmacPerSecond)
    try container.encode(machineInt8GmacPerSecond, forKey: .machineInt8GmacPerSecond)
    try container.encodeIfPresent(machineAvx2Int8GmacPerSecond, forKey: .machineAvx2Int8GmacPerSecond)
    try container.encodeIfPresent(taskSwitchMicroseconds, forKey: .taskSwitchMicroseconds)
    try container.encode(outputHash, forKey: decode == nil ? .outputHash : .logitsHash)
    try container.encode(planned, forKey: .planned)
  }

  private enum Key: CodingKey {
    case isa, sourceTokens, targetTokens, batch, threads, rounds, loadMs, encodeTokensPerSecond,
      encodeTokensPerSecondBest, textsPerSecond, weightBytesPerSource, encodeGbPerSecond, decodeTokensPerSecond,
      decodeTokensPerSecondBest, weightBytesPerStep, decodeGbPerSecond, machineReadGbPerSecond, shareOfReadBandwidth,
      encodeGmacPerSecond, machineInt8GmacPerSecond, machineAvx2Int8GmacPerSecond, taskSwitchMicroseconds, outputHash,
      logitsHash, planned
  }
}

extension BenchReport {
  /// The report for people.
  var lines: [String] {
    func speed(_ median: Double, _ best: Double) -> String {
      String(format: "%.1f tokens/s (%.1f)", median, best)
    }
    let share = shareOfReadBandwidth.map { String(format: "%.0f %%", 100 * $0) } ?? "an unknown share"
    var lines = [
      "\(isa), \(threads.counted("thread")), batch \(batch), \(sourceTokens.counted("source token"))"
        + (decode.map { ", " + $0.targetTokens.counted("target token") } ?? ""),
      String(format: "load       %.1f ms", loadMs),
      "encode     " + speed(encodeTokensPerSecond, encodeTokensPerSecondBest)
        + (decode == nil ? String(format: ", %.1f texts/s", textsPerSecond) : ""),
    ]
    if let decode { lines.append("decode     " + speed(decode.tokensPerSecond, decode.tokensPerSecondBest)) }
    lines += [
      String(format: "weights    %.1f GB/s, ", decode?.gbPerSecond ?? encodeGbPerSecond) + share
        + String(format: " of the machine's %.1f GB/s", machineReadGbPerSecond),
      String(
        format: "products   %.1f GMAC/s encoding; the machine's 8-bit %.1f GMAC/s", encodeGmacPerSecond,
        machineInt8GmacPerSecond)
        + (machineAvx2Int8GmacPerSecond.map { String(format: ", by AVX2 %.1f", $0) } ?? ""),
      "memory     \(planned.mapped.byteText) mapped, \(planned.private.byteText) private "
        + "(key/value cache \(planned.keyValueCache.byteText), activations \(planned.activations.byteText))",
    ]
    if let taskSwitchMicroseconds {
      lines.append(String(format: "switch     %.2f us to another task", taskSwitchMicroseconds))
    }
    return lines + ["\(decode == nil ? "output" : "logits")     \(outputHash)"]
  }
}

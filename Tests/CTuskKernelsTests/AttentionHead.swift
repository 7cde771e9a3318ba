import CTuskKernels
import Foundation
import Testing

/// One head of attention with everything it reads, to run on any kernels and to compute in Double.
struct Head {
  var queryCount: Int, keyCount: Int, dKV: Int
  var scale: Float = 1
  var causal = false
  var firstQueryIndex = 0
  var queries: [Float], keys: [Float], values: [Float]
  var bias: [Float]?
  var rowIndex: [Int32]?
  /// What keys and values are stored as.
  var element = TuskElementF32
  var prefixCount = 0
  var prefixKeys: [Float] = []
  var prefixValues: [Float] = []
  /// Rows are `stride` floats apart, as heads of one matrix are.
  var stride: Int

  init(queryCount: Int, keyCount: Int, dKV: Int, seed: UInt64, spread: Float = 1) {
    (self.queryCount, self.keyCount, self.dKV) = (queryCount, keyCount, dKV)
    stride = dKV + 3
    var random = Random(seed)
    queries = random.floats(max(queryCount, 1) * stride, scale: spread)
    keys = random.floats(max(keyCount, 1) * stride, scale: spread)
    values = random.floats(max(keyCount, 1) * stride)
  }

  /// A bias for every distance from -(queries before the end) to the last key; entry `centre` is distance 0.
  mutating func addBias(seed: UInt64) {
    var random = Random(seed)
    bias = random.floats(firstQueryIndex + queryCount + prefixCount + keyCount + 1)
  }

  mutating func addPrefix(_ count: Int, seed: UInt64) {
    var random = Random(seed)
    prefixCount = count
    prefixKeys = random.floats(count * prefixStride)
    prefixValues = random.floats(count * prefixStride)
  }
  private var prefixStride: Int { dKV + 5 }
  var centre: Int { firstQueryIndex + queryCount }

  func run(_ kernels: UnsafePointer<TuskKernels>, queries range: Range<Int>? = nil, keys limit: Int? = nil) -> [Float] {
    let range = range ?? 0..<queryCount
    let out = Stored([Float](repeating: -7, count: range.count * stride))
    let scratch = Stored([Float](repeating: .nan, count: tusk_attention_scratch_floats(dKV)))
    let (q, k, v) = (Stored(queries), Rows(keys, element, stride), Rows(values, element, stride))
    let (pk, pv) = (Stored(prefixKeys), Stored(prefixValues))
    let (distances, rows) = (Stored(bias ?? []), Stored(rowIndex ?? [], filler: 0))
    var head = TuskAttention(
      queries: q.base + range.lowerBound * stride, queryStride: stride, queryCount: range.count,
      element: element, keys: k.base, keyStride: stride, values: v.base, valueStride: stride, keyScales: k.scales,
      valueScales: v.scales, scaleStride: 1, keyCount: limit ?? keyCount,
      rowIndex: rowIndex == nil ? nil : UnsafePointer(rows.base), prefixKeys: prefixCount > 0 ? pk.base : nil,
      prefixValues: prefixCount > 0 ? pv.base : nil, prefixStride: prefixStride, prefixCount: prefixCount, dKV: dKV,
      scale: scale,
      relativeBias: bias == nil ? nil : UnsafePointer(distances.base + centre),
      firstQueryIndex: firstQueryIndex + range.lowerBound, causal: causal, out: out.base, outStride: stride)
    withExtendedLifetime((q, k, v, pk, pv, distances, rows)) { kernels.pointee.attend_f32(&head, scratch.base) }
    return (0..<range.count).flatMap { i in
      for d in dKV..<stride where out.base[i * stride + d] != -7 { Issue.record("wrote behind row \(i)") }
      return (0..<dKV).map { out.base[i * stride + $0] }
    }
  }

  /// Position t of the formula: a row of the prefix or of the keys.
  private func at(_ t: Int, _ prefix: [Float], _ rows: [Float], _ d: Int) -> Double {
    if t < prefixCount { return Double(prefix[t * prefixStride + d]) }
    let key = t - prefixCount
    return Double(rows[(rowIndex.map { Int($0[key]) } ?? key) * stride + d])
  }

  /// The formula in Double of what the stored rows stand for, with the whole row of scores.
  func exact() -> [Double] {
    let (keys, values) = (Rows(keys, element, stride).floats, Rows(values, element, stride).floats)
    var out: [Double] = []
    for i in 0..<queryCount {
      let index = firstQueryIndex + i
      let visible = prefixCount + (causal ? min(keyCount, index + 1) : keyCount)
      let scores = (0..<visible).map { t in
        var score = 0.0
        for d in 0..<dKV { score += Double(queries[i * stride + d]) * at(t, prefixKeys, keys, d) }
        return score * Double(scale) + (bias.map { Double($0[centre + t - index]) } ?? 0)
      }
      let largest = scores.max() ?? 0
      let weights = scores.map { exp($0 - largest) }
      let total = weights.reduce(0, +)
      for d in 0..<dKV {
        var sum = 0.0
        for (t, weight) in weights.enumerated() { sum += weight * at(t, prefixValues, values, d) }
        out.append(visible == 0 ? 0 : sum / total)
      }
    }
    return out
  }
}

/// Rows of keys or values as `element`, with NaN-free padding; a scale per row for int8.
final class Rows {
  let base: UnsafeMutableRawPointer
  let scales: UnsafeMutablePointer<Float>
  /// What the stored rows stand for.
  let floats: [Float]

  init(_ rows: [Float], _ element: TuskElement, _ stride: Int) {
    base = .allocate(byteCount: max(4 * rows.count, 1), alignment: 1)
    scales = .allocate(capacity: rows.count / stride + 1)
    switch element {
    case TuskElementF16:
      let halves = base.initializeMemory(as: UInt16.self, repeating: 0, count: rows.count)
      portable.pointee.convert_f16_f32(rows, rows.count, halves)
      floats = rows.map { Float(Float16($0)) }
    case TuskElementI8:
      let codes = base.initializeMemory(as: Int8.self, repeating: 0, count: rows.count)
      portable.pointee.quantize_i8_f32(rows, rows.count / stride, stride, codes, scales)
      let scales = scales
      floats = (0..<rows.count).map { Float(codes[$0]) * scales[$0 / stride] }
    default:
      let copy = base.initializeMemory(as: Float.self, repeating: 0, count: rows.count)
      for (index, value) in rows.enumerated() { copy[index] = value }
      floats = rows
    }
  }

  deinit {
    base.deallocate()
    scales.deallocate()
  }
}

import CTuskKernels
import Foundation
import Testing

private struct Head {
  var queryCount: Int, keyCount: Int, dKV: Int
  var scale: Float = 1
  var causal = false
  var firstQueryIndex = 0
  var queries: [Float], keys: [Float], values: [Float]
  var bias: [Float]?
  var rowIndex: [Int32]?
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
    let (q, k, v) = (Stored(queries), Stored(keys), Stored(values))
    let (pk, pv) = (Stored(prefixKeys), Stored(prefixValues))
    let (distances, rows) = (Stored(bias ?? []), Stored(rowIndex ?? [], filler: 0))
    var head = TuskAttention(
      queries: q.base + range.lowerBound * stride, queryStride: stride, queryCount: range.count, keys: k.base,
      keyStride: stride, values: v.base, valueStride: stride, keyCount: limit ?? keyCount,
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

  /// The formula in Double with the whole row of scores.
  func exact() -> [Double] {
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

@Suite struct AttentionTests {
  /// Scores reach +-20, where float32 rounds to 2e-6: the weights, and so the outputs, err by a few times that.
  static let tolerance = 2e-5

  @Test(arguments: [1, 7, 8, 9, 16, 20, 63, 64, 65, 127, 128, 200])
  func isCloseToTheFormula(keyCount: Int) {
    for dKV in [1, 5, 8, 16, 20, 48, 64, 80] {
      for (queryCount, causal) in [(1, false), (4, true), (5, false), (9, true)] {
        var head = Head(queryCount: queryCount, keyCount: keyCount, dKV: dKV, seed: UInt64(keyCount * 100 + dKV))
        head.scale = dKV > 20 ? 0.125 : 1
        head.causal = causal
        head.firstQueryIndex = causal ? max(0, keyCount - queryCount) : 0
        if queryCount != 5 { head.addBias(seed: 8) }
        let exact = head.exact()
        let reference = bits(head.run(portable))
        for kernels in everyKernels {
          let out = head.run(kernels)
          #expect(worstError(out, exact) < Self.tolerance, "\(nameOf(kernels)) dKV \(dKV) queryCount \(queryCount)")
          #expect(bits(out) == reference)
        }
      }
    }
  }

  /// Batch, encode and decode agree: a query alone equals the same query in a tile, bit for bit.
  @Test(arguments: [false, true])
  func aQueryDoesNotSeeItsTile(causal: Bool) {
    for (queryCount, keyCount, dKV) in [(70, 70, 64), (150, 150, 16), (11, 193, 20)] {
      var head = Head(queryCount: queryCount, keyCount: keyCount, dKV: dKV, seed: 12, spread: 2)
      head.causal = causal
      head.addBias(seed: 4)
      for kernels in everyKernels {
        let together = head.run(kernels)
        for i in 0..<queryCount {
          let row = bits(Array(together[i * dKV..<(i + 1) * dKV]))
          #expect(bits(head.run(kernels, queries: i..<i + 1)) == row)
          // A decoder has no later keys yet.
          if causal { #expect(bits(head.run(kernels, queries: i..<i + 1, keys: i + 1)) == row) }
        }
        let part = bits(head.run(kernels, queries: 3..<10))
        #expect(part == bits(Array(together[3 * dKV..<10 * dKV])))
      }
    }
  }

  /// The prefix ends before, at and behind the end of a tile of keys, and lies before direct and indirect rows.
  @Test(arguments: [1, 5, 63, 64, 65, 130])
  func aPrefixComesBeforeTheKeys(prefixCount: Int) {
    for (queryCount, keyCount, dKV) in [(1, 0, 8), (1, 1, 64), (1, 90, 20), (7, 90, 16), (70, 66, 9)] {
      for (causal, isIndirect) in [(false, false), (true, false), (false, true)] {
        var head = Head(queryCount: queryCount, keyCount: keyCount, dKV: dKV, seed: UInt64(prefixCount))
        head.causal = causal
        head.firstQueryIndex = causal ? max(0, keyCount - queryCount) : 2
        head.addPrefix(prefixCount, seed: 40)
        head.addBias(seed: 41)
        if isIndirect { head.rowIndex = (0..<keyCount).map { Int32(keyCount - 1 - $0) } }
        let exact = head.exact()
        let reference = bits(head.run(portable))
        for kernels in everyKernels {
          let out = head.run(kernels)
          #expect(worstError(out, exact) < Self.tolerance, "\(nameOf(kernels)) \(queryCount) \(keyCount) \(causal)")
          #expect(bits(out) == reference)
          for i in [0, queryCount - 1] {
            #expect(bits(head.run(kernels, queries: i..<i + 1)) == bits(Array(out[i * dKV..<(i + 1) * dKV])))
          }
        }
      }
    }
  }

  /// Rows of the prefix are keys like others: without a bias it does not matter on which side of the border they lie.
  @Test func aPrefixEqualsKeysThatComeFirst() {
    var head = Head(queryCount: 5, keyCount: 100, dKV: 16, seed: 50)
    head.addPrefix(30, seed: 51)
    var joined = head
    joined.prefixCount = 0
    joined.keyCount = 130
    func rows(_ prefix: [Float], _ rest: [Float]) -> [Float] {
      (0..<30).flatMap { t in (0..<joined.stride).map { $0 < 16 ? prefix[t * 21 + $0] : 0 } } + rest
    }
    joined.keys = rows(head.prefixKeys, head.keys)
    joined.values = rows(head.prefixValues, head.values)
    for kernels in everyKernels { #expect(bits(head.run(kernels)) == bits(joined.run(kernels))) }
  }

  @Test func rowsMayBeIndirect() {
    var head = Head(queryCount: 3, keyCount: 90, dKV: 16, seed: 20)
    var random = Random(21)
    head.rowIndex = (0..<90).map { _ in Int32(random.integer(0...89)) }
    let exact = head.exact()
    var gathered = head
    gathered.rowIndex = nil
    for (j, row) in (head.rowIndex ?? []).enumerated() {
      for d in 0..<head.stride {
        gathered.keys[j * head.stride + d] = head.keys[Int(row) * head.stride + d]
        gathered.values[j * head.stride + d] = head.values[Int(row) * head.stride + d]
      }
    }
    for kernels in everyKernels {
      let out = head.run(kernels)
      #expect(worstError(out, exact) < Self.tolerance)
      #expect(bits(out) == bits(gathered.run(kernels)))
    }
  }

  /// Scores in the hundreds overflow a softmax without the running maximum.
  @Test func largeScoresStayFinite() {
    var head = Head(queryCount: 6, keyCount: 150, dKV: 32, seed: 30, spread: 12)
    // Rising maxima: every tile rescales what came before.
    for j in 0..<150 { for d in 0..<32 { head.keys[j * head.stride + d] *= Float(j) / 50 } }
    let exact = head.exact()
    for kernels in everyKernels {
      let out = head.run(kernels)
      // Scores near 5,000 are rounded to 5e-4, and so are the weights.
      #expect(worstError(out, exact) < 5e-3)
    }
  }

  @Test func withoutKeysTheOutputIsZero() {
    let head = Head(queryCount: 2, keyCount: 0, dKV: 8, seed: 1)
    for kernels in everyKernels { #expect(head.run(kernels) == [Float](repeating: 0, count: 16)) }
  }

  @Test func scratchDoesNotGrowWithTheKeys() {
    #expect(tusk_attention_scratch_floats(64) * 4 <= 20 * 1024)
  }
}

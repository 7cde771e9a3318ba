import CTuskKernels
import Foundation
import Testing

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

  /// Rows are read in place as halves and as codes: the result is that of the floats they stand for.
  @Test(arguments: [TuskElementF16, TuskElementI8], [1, 9, 64, 100])
  func rowsMayBeHalvesOrCodes(element: TuskElement, keyCount: Int) {
    for (queryCount, dKV, prefixCount) in [(1, 64, 0), (5, 20, 3), (9, 9, 66), (1, 8, 61), (4, 100, 0)] {
      var head = Head(queryCount: queryCount, keyCount: keyCount, dKV: dKV, seed: 60)
      head.element = element
      head.scale = 0.5
      head.causal = queryCount == 5
      head.firstQueryIndex = head.causal ? keyCount : 0
      head.addPrefix(prefixCount, seed: 61)
      head.addBias(seed: 62)
      if dKV == 9 { head.rowIndex = (0..<keyCount).map { Int32(($0 * 7) % keyCount) } }
      let exact = head.exact()
      let reference = bits(head.run(portable))
      for kernels in everyKernels {
        let out = head.run(kernels)
        #expect(worstError(out, exact) < Self.tolerance, "\(nameOf(kernels)) dKV \(dKV) prefix \(prefixCount)")
        #expect(bits(out) == reference)
        for i in [0, queryCount - 1] {
          #expect(bits(head.run(kernels, queries: i..<i + 1)) == bits(Array(out[i * dKV..<(i + 1) * dKV])))
        }
      }
    }
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
    #expect(tusk_attention_scratch_floats(64) * 4 <= 40 * 1024)
  }
}

import CTuskBackward
import Foundation

@testable import TuskTraining

/// The backward passes this machine can run; the first is always `portable`.
var everyBackward: [TuskBackward] {
  ["portable", "avx2"].compactMap { name in
    let back = tusk_backward_select(name).pointee
    return nameOf(back) == name ? back : nil
  }
}

func nameOf(_ back: TuskBackward) -> String { String(cString: back.name) }

/// Lengths on both sides of every tile.
let backwardLengths = [1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 1023]

/// Rows of floats with NaNs in front of, between and behind them: what reads those gives NaN, what writes them is seen.
final class PaddedRows {
  let rows: Int
  let columns: Int
  let stride: Int
  let base: UnsafeMutablePointer<Float>
  private let storage: UnsafeMutableBufferPointer<Float>
  private static let filler = Float(bitPattern: 0x7FC0_1234)

  /// - Parameter columns: of a row; nil for one row.
  init(_ values: [Float], columns: Int? = nil, padding: Int = 5) {
    self.columns = columns ?? values.count
    rows = values.count / max(self.columns, 1)
    stride = self.columns + padding
    storage = .allocate(capacity: padding + rows * stride)
    storage.initialize(repeating: Self.filler)
    base = storage.baseAddress! + padding
    values.withUnsafeBufferPointer { values in
      for row in 0..<rows {
        (base + row * stride).update(from: values.baseAddress! + row * self.columns, count: self.columns)
      }
    }
  }

  convenience init(zeros count: Int, columns: Int? = nil) {
    self.init([Float](repeating: 0, count: count), columns: columns)
  }

  deinit { storage.deallocate() }

  var values: [Float] {
    var values: [Float] = []
    values.reserveCapacity(rows * columns)
    for row in 0..<rows { values += UnsafeBufferPointer(start: base + row * stride, count: columns) }
    return values
  }

  /// Whether nothing but the rows has been written.
  var isIntact: Bool {
    let padding = stride - columns
    for row in 0...rows {
      for column in 0..<padding where storage[row * stride + column].bitPattern != Self.filler.bitPattern {
        return false
      }
    }
    return true
  }
}

/// The largest difference of numbers from what they should be, relative to the largest of these; NaN is infinitely far.
struct Closeness {
  private var largest = 0.0
  private var worst = 0.0

  mutating func add(_ found: Float, _ expected: Double) {
    let difference = abs(Double(found) - expected)
    largest = max(largest, abs(expected))
    worst = max(worst, difference.isNaN ? .infinity : difference)
  }

  var error: Double { error(beside: 1e-30) }

  /// With `least` in the place of a smaller largest.
  func error(beside least: Double) -> Double { worst / max(largest, least) }

  static func error(_ found: [Float], _ expected: [Double]) -> Double {
    var closeness = Closeness()
    for (found, expected) in zip(found, expected) { closeness.add(found, expected) }
    return found.count == expected.count ? closeness.error : .infinity
  }
}

/// The slope of `f` along coordinate `index` of x, by central differences.
func slope(_ x: [Double], _ index: Int, step: Double = 1e-5, _ f: ([Double]) -> Double) -> Double {
  var x = x
  let centre = x[index]
  x[index] = centre + step
  let above = f(x)
  x[index] = centre - step
  return (above - f(x)) / (2 * step)
}

/// Coordinates of `count` that are tested: all of few, of many the ends and some between.
func probes(_ count: Int, seed: UInt64 = 1) -> [Int] {
  guard count > 65 else { return Array(0..<count) }
  var random = SplitMix64(seed: seed)
  return Array(0..<4) + Array(count - 9..<count) + (0..<16).map { _ in random.integer(below: count) }
}

func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }

extension SplitMix64 {
  mutating func floats(_ count: Int, scale: Double = 1) -> [Float] {
    InitialValues.normal(deviation: scale).draw(count, &self)
  }
}

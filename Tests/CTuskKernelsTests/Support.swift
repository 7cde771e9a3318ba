import CTuskKernels
import Foundation

/// The implementations this machine can run; the first is always `portable`.
var everyKernels: [UnsafePointer<TuskKernels>] {
  ["portable", "avx2", "avxvnni", "avx512vnni"].compactMap { name in
    let kernels = tusk_kernels_select(name, nil)
    return nameOf(kernels) == name ? kernels : nil
  }
}

var portable: UnsafePointer<TuskKernels> { everyKernels[0] }

func nameOf(_ kernels: UnsafePointer<TuskKernels>) -> String { String(cString: kernels.pointee.name) }

/// Lengths on both sides of every tile.
let straddlingLengths = [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 63, 65, 127, 1023]

/// A seeded generator, so that a failure repeats.
struct Random {
  var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }

  mutating func next() -> UInt64 {
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    return state
  }

  mutating func integer(_ range: ClosedRange<Int>) -> Int {
    range.lowerBound + Int(next() >> 11) % (range.upperBound - range.lowerBound + 1)
  }

  mutating func float(_ scale: Float = 1) -> Float { (Float(next() >> 40) / 8_388_608 - 1) * scale }

  mutating func floats(_ count: Int, scale: Float = 1) -> [Float] { (0..<count).map { _ in float(scale) } }
}

/// Rows of codes as tusk_matmul.h wants them: 64-byte aligned, padded with zeros.
final class CodeRows<Code: FixedWidthInteger & BitwiseCopyable> {
  let base: UnsafeMutablePointer<Code>
  let rows: Int
  let stride: Int

  init(rows: Int, columns: Int, extraStride: Int = 0) {
    self.rows = rows
    stride = tusk_code_stride(columns) + extraStride
    let count = max(rows * stride, 64)
    let raw = UnsafeMutableRawPointer.allocate(byteCount: count * MemoryLayout<Code>.stride, alignment: 64)
    base = raw.initializeMemory(as: Code.self, repeating: 0, count: count)
  }

  deinit { base.deallocate() }

  subscript(row: Int, column: Int) -> Code {
    get { base[row * stride + column] }
    set { base[row * stride + column] = newValue }
  }
}

/// A copy of an array at an address that stays; `shift` floats of NaN come before it, so that nothing can rely on
/// alignment.
final class Stored<Element> {
  private let buffer: UnsafeMutableBufferPointer<Element>
  let base: UnsafeMutablePointer<Element>
  let isEmpty: Bool

  init(_ array: [Element], shift: Int = 0, filler: Element) {
    buffer = .allocate(capacity: shift + array.count + 1)
    buffer.initialize(repeating: filler)
    for (i, element) in array.enumerated() { buffer[shift + i] = element }
    base = buffer.baseAddress.unsafelyUnwrapped + shift
    isEmpty = array.isEmpty
  }

  deinit { buffer.deallocate() }

  func array(_ count: Int) -> [Element] { (0..<count).map { base[$0] } }
}

extension Stored where Element == Float {
  convenience init(_ array: [Float], shift: Int = 0) { self.init(array, shift: shift, filler: .nan) }
}

func bits(_ values: [Float]) -> [UInt32] { values.map(\.bitPattern) }

/// The largest difference relative to the largest magnitude of the reference; NaN counts as infinite.
func worstError(_ values: [Float], _ reference: [Double]) -> Double {
  precondition(values.count == reference.count)
  var scale = 1e-30
  var worst = 0.0
  for value in reference { scale = max(scale, abs(value)) }
  for (value, exact) in zip(values, reference) {
    let difference = abs(Double(value) - exact)
    worst = max(worst, difference.isNaN ? .infinity : difference)
  }
  return worst / scale
}

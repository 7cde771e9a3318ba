import Foundation

/// A recorded array: .npy version 1.0, C order, `<f4` or `<i4`.
struct NumpyArray {
  let shape: [Int]
  let floats: [Float]

  init(_ path: String) throws {
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let headerBytes = Int(data[8]) + Int(data[9]) << 8
    let header = String(decoding: data[10..<10 + headerBytes], as: UTF8.self)
    let dimensions = header.split(separator: "(")[1].split(separator: ")")[0]
    shape = dimensions.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
    let values = Data(data[(10 + headerBytes)...])
    floats = values.withUnsafeBytes { bytes in
      header.contains("<i4")
        ? bytes.bindMemory(to: Int32.self).map { Float($0) } : Array(bytes.bindMemory(to: Float.self))
    }
  }

  var ids: [Int32] { floats.map { Int32($0) } }

  /// Row `index` of the first dimension.
  subscript(_ index: Int) -> ArraySlice<Float> {
    let size = floats.count / shape[0]
    return floats[index * size..<(index + 1) * size]
  }
}

/// Largest absolute difference.
func largestDifference(_ a: some Collection<Float>, _ b: some Collection<Float>) -> Float {
  precondition(a.count == b.count, "lengths differ")
  return zip(a, b).map { abs($0 - $1) }.max() ?? 0
}

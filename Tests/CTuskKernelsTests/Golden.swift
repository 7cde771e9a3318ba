import Foundation

/// A float32 array of Tests/Fixtures/golden/units in NumPy's format.
struct GoldenArray {
  let shape: [Int]
  let values: [Float]
}

struct GoldenError: Error {
  let path: String
}

/// The folder of recorded units: that of the package, or the one TUSK_GOLDEN_UNITS names.
let goldenUnits: URL =
  ProcessInfo.processInfo.environment["TUSK_GOLDEN_UNITS"].map { URL(filePath: $0) }
  ?? URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .appending(path: "Fixtures/golden/units")

/// The recorded layers, phm_0, phm_1, ...
let goldenLayers: [String] =
  ((try? FileManager.default.contentsOfDirectory(atPath: goldenUnits.path)) ?? [])
  .filter { $0.hasPrefix("phm_") && !$0.contains(".") }.sorted()

func golden(_ name: String) throws -> GoldenArray {
  let file = goldenUnits.appending(path: "\(name).npy")
  let data = try Data(contentsOf: file)
  guard data.count > 10, data[6] == 1 else { throw GoldenError(path: file.path) }
  let headerEnd = 10 + Int(data[8]) + Int(data[9]) << 8
  let header = String(decoding: data[10..<headerEnd], as: UTF8.self)
  guard header.contains("'<f4'"), header.contains("'fortran_order': False"),
    let open = header.firstIndex(of: "("), let close = header.firstIndex(of: ")")
  else { throw GoldenError(path: file.path) }
  let shape = header[header.index(after: open)..<close].split(separator: ",").compactMap {
    Int($0.trimmingCharacters(in: .whitespaces))
  }
  let values = data[headerEnd...].withUnsafeBytes { bytes in
    (0..<bytes.count / 4).map { bytes.loadUnaligned(fromByteOffset: $0 * 4, as: Float.self) }
  }
  guard values.count == shape.reduce(1, *) else { throw GoldenError(path: file.path) }
  return GoldenArray(shape: shape, values: values)
}

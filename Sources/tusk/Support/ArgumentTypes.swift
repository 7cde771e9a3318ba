import ArgumentParser
import TuskFormat

/// A number of bytes with an optional unit: KB, MB, GB count thousands, KiB, MiB, GiB powers of 1,024.
struct ByteSize: ExpressibleByArgument {
  let bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let units = [
      "": 1, "B": 1, "KB": 1000, "MB": 1_000_000, "GB": 1_000_000_000, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
    ]
    guard let number = Int(digits), let unit = units[String(argument.dropFirst(digits.count))] else { return nil }
    let product = number.multipliedReportingOverflow(by: unit)
    guard !product.overflow, product.partialValue > 0 else { return nil }
    bytes = product.partialValue
  }
}

/// Token ids separated by commas.
struct IdList: ExpressibleByArgument {
  let ids: [Int32]

  init?(argument: String) {
    var ids: [Int32] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      guard let id = Int32(part) else { return nil }
      ids.append(id)
    }
    self.ids = ids
  }
}

/// A bar for comparison in a chart, `LABEL=SIZE`.
struct NamedSize: ExpressibleByArgument {
  let label: String
  let size: ByteSize

  init?(argument: String) {
    guard let separator = argument.lastIndex(of: "="), separator != argument.startIndex,
      let size = ByteSize(argument: String(argument[argument.index(after: separator)...]))
    else { return nil }
    label = String(argument[..<separator])
    self.size = size
  }
}

extension WeightEncoding: ExpressibleByArgument {
  public init?(argument: String) {
    switch argument {
    case "int8": self = .int8Rows
    case "float32": self = .float32
    default: return nil
    }
  }

  public var defaultValueDescription: String { self == .int8Rows ? "int8" : "float32" }

  public static var allValueStrings: [String] { ["int8", "float32"] }
}

extension Int {
  /// Bytes in the unit people read: thousands and millions.
  var byteText: String {
    switch magnitude {
    case ..<1000: "\(self) B"
    case ..<1_000_000: "\(tenths(of: 1000)) KB"
    case ..<1_000_000_000: "\(tenths(of: 1_000_000)) MB"
    default: "\(tenths(of: 1_000_000_000)) GB"
    }
  }

  private func tenths(of unit: Int) -> String {
    let rounded = (self * 10 + unit / 2) / unit
    return "\(rounded / 10).\(rounded % 10)"
  }
}

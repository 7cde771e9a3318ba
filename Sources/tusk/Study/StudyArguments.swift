import ArgumentParser
import TuskTraining

/// The parts of a list separated by commas; nil if one is empty or there twice.
private func parts<Value: Hashable>(_ argument: String, _ value: (String) -> Value?) -> [Value]? {
  var values: [Value] = []
  for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
    guard !part.isEmpty, let value = value(String(part)), !values.contains(value) else { return nil }
    values.append(value)
  }
  return values
}

/// Names separated by commas.
struct NameList: ExpressibleByArgument {
  let names: [String]

  init?(argument: String) {
    guard let names = parts(argument, { $0 }) else { return nil }
    self.names = names
  }
}

/// Methods separated by commas.
struct MethodList: ExpressibleByArgument {
  let methods: [TrainingMethod]

  init?(argument: String) {
    guard let methods = parts(argument, TrainingMethod.init(rawValue:)) else { return nil }
    self.methods = methods
  }
}

/// Numbers above 0 separated by commas, ascending.
struct CountList: ExpressibleByArgument {
  let counts: [Int]

  init?(argument: String) {
    guard let counts = parts(argument, { Int($0) }), counts.allSatisfy({ (1...1_000_000_000).contains($0) }) else {
      return nil
    }
    self.counts = counts.sorted()
  }
}

/// `METHOD=RATE` separated by commas, or a rate for all methods that are not named.
struct RateList: ExpressibleByArgument {
  private(set) var rates: [TrainingMethod: Double] = [:]
  private(set) var common: Double?

  init?(argument: String) {
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count <= 2, let rate = Double(sides[sides.count - 1]), rate.isFinite, rate > 0 else { return nil }
      if sides.count == 1 {
        guard common == nil else { return nil }
        common = rate
      } else {
        guard let method = TrainingMethod(rawValue: String(sides[0])), rates[method] == nil else { return nil }
        rates[method] = rate
      }
    }
  }

  subscript(method: TrainingMethod) -> Double? { rates[method] ?? common }
}

/// `NAME=TRAIN,VALIDATION`; the name is part of names of files.
struct TaskFiles: ExpressibleByArgument {
  let name: String
  let training: String
  let validation: String

  init?(argument: String) {
    guard let equal = argument.firstIndex(of: "="), let comma = argument[equal...].lastIndex(of: ",") else {
      return nil
    }
    name = String(argument[..<equal])
    training = String(argument[argument.index(after: equal)..<comma])
    validation = String(argument[argument.index(after: comma)...])
    let isPlain = name.utf8.allSatisfy { byte in
      byte == UInt8(ascii: "-") || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
        || (byte < 128 && Character(Unicode.Scalar(byte)).isLetter) || (48...57).contains(byte)
    }
    guard (1...64).contains(name.utf8.count), isPlain, !name.hasPrefix("."), !training.isEmpty, !validation.isEmpty
    else { return nil }
  }
}

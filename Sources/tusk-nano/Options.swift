/// The command line of `tusk-nano`, as UTF-8 bytes: no argument library, no dictionary of strings.
struct Options {
  var files: [UnsafePointer<CChar>] = []
  /// The text to answer; nil for `-`, lines from standard input.
  var text: [UInt8]?
  var budgetBytes: Int?
  var threads = 1
  var maxNewTokens = 64
  var sourceTokens = 512
  var beams = 1
  /// Prints planned and measured bytes behind the answers.
  var reportsFootprint = false
  /// Runs ids instead of text and prints planned and measured bytes.
  var measures = false
  /// Ids to give raw logits for instead of answering a text, and their token types.
  var inputIds: [Int32] = []
  var tokenTypeIds: [Int32] = []
  /// Without them, the decoder's start token.
  var decoderInputIds: [Int32] = []

  enum Failure: Error {
    case help
    case missingValue([UInt8])
    case notANumber([UInt8])
    case notIds([UInt8])
    case unknownOption([UInt8])
    case tooFewArguments
  }

  init(_ arguments: UnsafeBufferPointer<UnsafeMutablePointer<CChar>?>) throws(Failure) {
    var positional: [UnsafePointer<CChar>] = []
    var index = 1
    while index < arguments.count, let argument = arguments[index] {
      index += 1
      guard argument[0] == 0x2D, argument[1] != 0 else {
        positional.append(argument)
        continue
      }
      if argument.equals("--help") || argument.equals("-h") { throw .help }
      if argument.equals("--measure") {
        measures = true
        continue
      }
      if argument.equals("--footprint") {
        reportsFootprint = true
        continue
      }
      guard index < arguments.count, let value = arguments[index] else {
        throw .missingValue(UnsafePointer(argument).bytes)
      }
      index += 1
      if try takeIds(argument, UnsafePointer(value)) { continue }
      guard let number = UnsafePointer(value).byteCountValue, number > 0 else {
        throw .notANumber(UnsafePointer(value).bytes)
      }
      if argument.equals("--budget") {
        budgetBytes = number
      } else if argument.equals("--threads") {
        threads = number
      } else if argument.equals("--max-new-tokens") {
        maxNewTokens = number
      } else if argument.equals("--source-tokens") {
        sourceTokens = number
      } else if argument.equals("--beams") {
        beams = number
      } else {
        throw .unknownOption(UnsafePointer(argument).bytes)
      }
    }
    let hasText = !measures && inputIds.isEmpty
    guard positional.count >= (hasText ? 2 : 1) else { throw .tooFewArguments }
    if hasText {
      let last = positional.removeLast()
      if !last.equals("-") { text = last.bytes }
    }
    files = positional
  }

  /// Whether `option` takes ids, which then are its value's.
  private mutating func takeIds(
    _ option: UnsafePointer<CChar>, _ value: UnsafePointer<CChar>
  ) throws(Failure) -> Bool {
    if option.equals("--input-ids") {
      inputIds = try value.ids
    } else if option.equals("--token-type-ids") {
      tokenTypeIds = try value.ids
    } else if option.equals("--decoder-input-ids") {
      decoderInputIds = try value.ids
    } else {
      return false
    }
    return true
  }

  static let help: StaticString = """
    usage: tusk-nano BACKBONE [TASK...] [options] TEXT|-

    Answers TEXT with the model in the file BACKBONE and the first TASK, if there is one. With - it answers lines from
    standard input, one line each; a line NAME<tab>TEXT is answered with the task of that name, in any file given.

    A backbone that is an encoder answers with its head or the task's: the label and, behind tabs, the score of each
    label; the number of a regression; or the numbers of an embedding. It takes two texts with a tab between them.

      tusk-nano t5.tusk dates.tusk "Due on the fourth of May 2021"

    options:
      --max-new-tokens N   longest answer, default 64
      --source-tokens N    longest source, default 512
      --beams N            beam search, default 1: greedy
      --threads N          default 1
      --budget SIZE        upper bound on private memory, for example 12MB or 900KB
      --footprint          print planned and measured bytes on standard error, behind the answers
      --measure            run a source of --source-tokens ids and --max-new-tokens steps, print bytes
      --input-ids IDS      no text: write the logits for these ids, separated by commas, as raw float32; with
      --decoder-input-ids IDS, --token-type-ids IDS
    """
}

extension UnsafePointer<CChar> {
  /// The bytes up to the null.
  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    var next = self
    while next.pointee != 0 {
      bytes.append(UInt8(bitPattern: next.pointee))
      next += 1
    }
    return bytes
  }

  func equals(_ text: StaticString) -> Bool {
    let bytes = bytes
    guard bytes.count == text.utf8CodeUnitCount else { return false }
    for index in 0..<bytes.count where bytes[index] != text.utf8Start[index] { return false }
    return true
  }

  /// Ids separated by commas.
  var ids: [Int32] {
    get throws(Options.Failure) {
      var ids: [Int32] = []
      var next: Int32?
      for byte in bytes {
        if byte == 0x2C, let id = next {
          ids.append(id)
          next = nil
        } else if byte >= 0x30, byte <= 0x39, next ?? 0 < Int32.max / 10 {
          next = (next ?? 0) * 10 + Int32(byte - 0x30)
        } else {
          throw .notIds(bytes)
        }
      }
      guard let last = next else { throw .notIds(bytes) }
      return ids + [last]
    }
  }

  /// A number with an optional unit: KB, MB, GB (thousands) or KiB, MiB, GiB.
  var byteCountValue: Int? {
    var next = self
    var value = 0
    guard next.pointee >= 0x30, next.pointee <= 0x39 else { return nil }
    while next.pointee >= 0x30, next.pointee <= 0x39 {
      let scaled = value.multipliedReportingOverflow(by: 10)
      let sum = scaled.partialValue.addingReportingOverflow(Int(next.pointee) - 0x30)
      if scaled.overflow || sum.overflow { return nil }
      value = sum.partialValue
      next += 1
    }
    let units: [(StaticString, Int)] = [
      ("", 1), ("KB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20),
      ("GiB", 1 << 30),
    ]
    for (name, factor) in units where next.equals(name) {
      let product = value.multipliedReportingOverflow(by: factor)
      return product.overflow ? nil : product.partialValue
    }
    return nil
  }
}

extension UnsafeMutablePointer<CChar> {
  func equals(_ text: StaticString) -> Bool { UnsafePointer(self).equals(text) }
}

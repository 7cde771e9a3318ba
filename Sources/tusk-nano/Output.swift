import CTuskSystem
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Text for a stream, built as bytes.
struct Line {
  private(set) var bytes: [UInt8] = []

  mutating func add(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { bytes.append(text.utf8Start[index]) }
  }

  mutating func add(_ text: UnsafePointer<CChar>) { bytes += text.bytes }

  mutating func add(_ more: [UInt8]) { bytes += more }

  mutating func add<Number: BinaryInteger>(_ number: Number) {
    var digits: [UInt8] = []
    var rest = number.magnitude
    repeat {
      digits.append(0x30 + UInt8(rest % 10))
      rest /= 10
    } while rest > 0
    if number < 0 { bytes.append(0x2D) }
    bytes += digits.reversed()
  }

  /// Writes "tusk-nano: warning: ..." to standard error.
  static func warn(_ text: StaticString) {
    var line = Line()
    line.add("tusk-nano: warning: ")
    line.add(text)
    line.write(to: 2)
  }

  /// Writes the line to standard output (1) or standard error (2).
  func write(to stream: Int32 = 1) {
    let all = bytes + [0x0A]
    _ = tusk_write_stream(stream, all, all.count)
  }
}

/// What ends the program: one line and a `sysexits` code.
struct Failure: Error {
  let line: Line
  let exitCode: Int32

  init(_ exitCode: Int32, _ build: (inout Line) -> Void) {
    var line = Line()
    line.add("tusk-nano: ")
    build(&line)
    self.line = line
    self.exitCode = exitCode
  }

  init(_ error: FormatError, path: UnsafePointer<CChar>) {
    self.init(error.exitCode) { line in
      line.add(path)
      line.add(": byte ")
      line.add(error.offset)
      line.add(": ")
      line.add(error.summary)
      line.addNumbers(error.found, error.required)
    }
  }

  init(_ error: EngineError) {
    self.init(error.exitCode) { line in
      line.add(error.summary)
      line.addNumbers(error.found, error.required)
    }
  }

  init(_ error: TokenizerError) {
    self.init(65) { line in
      line.add("tokenizer: byte ")
      line.add(error.offset)
      line.add(": ")
      line.add(error.kind.sentence)
      line.addNumbers(error.found, error.required)
    }
  }

  init(_ error: TextError) {
    switch error {
    case .engine(let error): self.init(error)
    case .tokenizer(let error): self.init(error)
    }
  }

  init(_ failure: Options.Failure) {
    switch failure {
    case .help: self.init(0) { _ in }
    case .missingValue(let option):
      self.init(64) { line in
        line.add("no value for ")
        line.add(option)
      }
    case .notANumber(let value):
      self.init(64) { line in
        line.add("not a number above 0: ")
        line.add(value)
      }
    case .notIds(let value):
      self.init(64) { line in
        line.add("not ids separated by commas: ")
        line.add(value)
      }
    case .unknownOption(let option):
      self.init(64) { line in
        line.add("unknown option ")
        line.add(option)
      }
    case .tooFewArguments: self.init(64) { $0.add("needs BACKBONE [TASK...] TEXT|-; see --help") }
    }
  }
}

extension Line {
  fileprivate mutating func addNumbers<Number: BinaryInteger>(_ found: Number, _ required: Number) {
    add(": found ")
    add(found)
    add(", required ")
    add(required)
  }
}

import CTusk
import CTuskHandles
import TuskEngine
import TuskFormat
import TuskTokenizer

/// Why a function of the C interface does not do what it was asked to: its status and what the message says.
struct Failure: Error {
  let status: tusk_status
  let summary: StaticString
  private var offset: UInt64?
  private var found: Number?
  private var required: Number?

  init(_ status: Int, _ summary: StaticString) {
    self.status = tusk_status(status)
    self.summary = summary
  }

  init<Value: BinaryInteger>(_ status: Int, _ summary: StaticString, found: Value, required: Value) {
    self.init(status, summary)
    self.found = Number(found)
    self.required = Number(required)
  }

  init(_ error: FormatError) {
    self.init(Self.status(error), error.summary, found: error.found, required: error.required)
    offset = error.offset
  }

  init(_ error: EngineError) {
    self.init(Self.status(error), error.summary, found: error.found, required: error.required)
  }

  init(_ error: TokenizerError) {
    let isText = error.kind == .textTooLong
    self.init(
      isText ? TUSK_ERROR_TEXT_TOO_LONG : TUSK_ERROR_TOKENIZER, error.kind.sentence, found: error.found,
      required: error.required)
    offset = error.offset
  }

  static func null(_ what: StaticString) -> Failure { Failure(TUSK_ERROR_NULL_ARGUMENT, what) }

  private static func status(_ error: FormatError) -> Int {
    switch error.kind {
    case .cannotOpen: TUSK_ERROR_CANNOT_OPEN
    case .notRegularFile: TUSK_ERROR_NOT_REGULAR_FILE
    case .misalignedMemory: TUSK_ERROR_MISALIGNED_MEMORY
    case .taskOfOtherBackbone, .taskOfOtherShape: TUSK_ERROR_OTHER_BACKBONE
    case .tasksNotStackable: TUSK_ERROR_NOT_STACKABLE
    default: TUSK_ERROR_FORMAT
    }
  }

  private static func status(_ error: EngineError) -> Int {
    switch error.kind {
    case .notABackbone: TUSK_ERROR_NOT_A_BACKBONE
    case .noTokenizer: TUSK_ERROR_NO_TOKENIZER
    case .emptySource: TUSK_ERROR_EMPTY_SOURCE
    case .sourceTooLong: TUSK_ERROR_SOURCE_TOO_LONG
    case .targetTooLong: TUSK_ERROR_TARGET_TOO_LONG
    case .idOutOfRange: TUSK_ERROR_ID_OUT_OF_RANGE
    case .typeOutOfRange: TUSK_ERROR_TYPE_OUT_OF_RANGE
    case .budgetTooSmall: TUSK_ERROR_BUDGET
    case .planTooLarge: TUSK_ERROR_PLAN_TOO_LARGE
    case .outOfMemory: TUSK_ERROR_OUT_OF_MEMORY
    case .threadsUnavailable: TUSK_ERROR_NO_THREADS
    case .noHead: TUSK_ERROR_NO_HEAD
    case .noDecoder: TUSK_ERROR_NO_DECODER
    case .memoryTooSmall: TUSK_ERROR_MEMORY_TOO_SMALL
    case .misalignedMemory: TUSK_ERROR_MISALIGNED_MEMORY
    default: 100 * Int(error.exitCode)
    }
  }

  /// Leaves the sentence with a handle.
  func write(to handle: UnsafeMutablePointer<tusk_handle>) {
    withUnsafeMutableBytes(of: &handle.pointee.message) { message in
      var line = MessageLine(buffer: message)
      if let offset {
        line.add("byte ")
        line.add(Number(offset))
        line.add(": ")
      }
      line.add(summary)
      if let found, let required {
        line.add(": found ")
        line.add(found)
        line.add(", required ")
        line.add(required)
      }
      line.finish()
    }
  }
}

/// An integer of whatever type.
private struct Number {
  let isNegative: Bool
  let magnitude: UInt64

  init<Value: BinaryInteger>(_ value: Value) {
    isNegative = value < 0
    magnitude = UInt64(clamping: value.magnitude)
  }
}

/// A line of text in a fixed place; what does not fit is left out.
private struct MessageLine {
  let buffer: UnsafeMutableRawBufferPointer
  private var count = 0

  init(buffer: UnsafeMutableRawBufferPointer) { self.buffer = buffer }

  mutating func add(_ byte: UInt8) {
    guard count < buffer.count - 1 else { return }
    buffer[count] = byte
    count += 1
  }

  mutating func add(_ text: StaticString) {
    for index in 0..<text.utf8CodeUnitCount { add(text.utf8Start[index]) }
  }

  mutating func add(_ number: Number) {
    if number.isNegative { add(UInt8(ascii: "-")) }
    var divisor: UInt64 = 1
    while number.magnitude / divisor >= 10 { divisor *= 10 }
    while divisor > 0 {
      add(UInt8(ascii: "0") + UInt8(number.magnitude / divisor % 10))
      divisor /= 10
    }
  }

  func finish() { buffer[count] = 0 }
}

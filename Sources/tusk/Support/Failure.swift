import CTuskSystem
import Foundation
import TuskConversion
import TuskEngine
import TuskFormat
import TuskTokenizer
import TuskTraining

/// What ends a command: one line for people and a `sysexits` code for programs.
struct Failure: Error {
  let exitCode: Int32
  let message: String

  static let usage: Int32 = 64
  static let badData: Int32 = 65
  static let noInput: Int32 = 66
  static let internalFault: Int32 = 70
  static let inputOutput: Int32 = 74
  static let interrupted: Int32 = 130

  init(_ exitCode: Int32, _ message: String) {
    self.exitCode = exitCode
    self.message = message
  }

  /// A system call on `path` that failed with `errorNumber`.
  init(_ exitCode: Int32, path: String, errorNumber: Int32) {
    self.init(exitCode, "\(path.printable): \(systemText(errorNumber))")
  }
}

extension Failure {
  init(_ error: FormatError, path: String) {
    switch error.kind {
    case .cannotOpen: self.init(error.exitCode, path: path, errorNumber: Int32(clamping: error.found))
    case .notRegularFile:
      let isDirectory = error.found == UInt64(EISDIR)
      self.init(error.exitCode, "\(path.printable): \(isDirectory ? "a directory" : "not a regular file")")
    default:
      self.init(
        error.exitCode, "\(path.printable): byte \(error.offset): \(Failure.sentence(error.summary, error.numbers))")
    }
  }

  init(_ error: WriteError, path: String) {
    self.init(error.exitCode, path: path, errorNumber: error.errorNumber)
  }

  init(_ error: ConversionError) { self.init(error.exitCode, error.description) }

  init(_ error: TrainingError) {
    self.init(error.exitCode, error.kind == .cancelled ? "interrupted; nothing was written" : error.description)
  }

  /// - Parameter path: the file or the text that was being worked on.
  init(_ error: EngineError, path: String) {
    let numbers = (found: "\(error.found)", required: error.required == 0 ? nil : "\(error.required)")
    var sentence = Failure.sentence(error.summary, numbers)
    if error.kind == .sourceTooLong { sentence += "; see --max-source-tokens and --truncate" }
    self.init(error.exitCode, "\(path.printable): \(sentence)")
  }

  /// - Parameter sectionOffset: where the tokenizer section starts in the file.
  init(_ error: TokenizerError, path: String, sectionOffset: Int) {
    let numbers = (found: "\(error.found)", required: "\(error.required)" as String?)
    self.init(
      Failure.badData,
      "\(path.printable): byte \(UInt64(sectionOffset) + error.offset): "
        + Failure.sentence(error.kind.sentence, numbers))
  }

  /// `summary` with its numbers: into the parenthesis that names their unit, if there is one.
  private static func sentence(_ summary: StaticString, _ numbers: (found: String, required: String?)) -> String {
    var text = "\(summary)"
    var tail = "found \(numbers.found)"
    if let required = numbers.required { tail += ", required \(required)" }
    guard text.hasSuffix(")") else { return "\(text) (\(tail))" }
    text.removeLast()
    return "\(text): \(tail))"
  }
}

extension FormatError {
  /// Identities and checksums in base 16, counts in base 10; no requirement where the kind knows none.
  fileprivate var numbers: (found: String, required: String?) {
    switch kind {
    case .wrongMagic, .fingerprintMismatch, .taskOfOtherBackbone, .indexChecksumMismatch, .checksumMismatch:
      ("0x" + String(found, radix: 16), "0x" + String(required, radix: 16))
    default: ("\(found)", required == 0 ? nil : "\(required)")
    }
  }
}

/// The system's words for an error number.
func systemText(_ errorNumber: Int32) -> String { String(cString: tusk_error_text(errorNumber)) }

/// Runs `body`, naming `path` in what it throws.
func reading<Result>(_ path: String, _ body: () throws(FormatError) -> Result) throws(Failure) -> Result {
  do throws(FormatError) { return try body() } catch { throw Failure(error, path: path) }
}

/// Runs `body`, which writes `path`.
func writing<Result>(_ path: String, _ body: () throws(WriteError) -> Result) throws(Failure) -> Result {
  do throws(WriteError) { return try body() } catch { throw Failure(error, path: path) }
}

/// Runs `body`, which reads examples or asks a model for their answers.
func training<Result>(_ body: () throws(TrainingError) -> Result) throws(Failure) -> Result {
  do throws(TrainingError) { return try body() } catch { throw Failure(error) }
}

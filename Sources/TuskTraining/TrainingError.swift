/// Why a task is not trained or not evaluated: one sentence of what was found and what was required.
public struct TrainingError: Error, Equatable, Sendable {
  public let kind: Kind
  /// Path of the file at fault, if there is one.
  public let file: String?
  /// Line of `file`, from 1 on.
  public let line: Int?
  public let sentence: String

  public init(_ kind: Kind, file: String? = nil, line: Int? = nil, _ sentence: String) {
    self.kind = kind
    self.file = file
    self.line = line
    self.sentence = sentence
  }

  public enum Kind: String, CaseIterable, Sendable {
    /// The path does not exist or may not be read.
    case cannotOpen
    /// The system failed to read an open file.
    case cannotRead
    /// The system failed to write the result.
    case cannotWrite
    /// A line of a data file that is no example.
    case malformed
    /// A label that the task does not know.
    case unknownLabel
    /// A source or target longer than planned.
    case tooLong
    /// A file without examples.
    case empty
    /// A method, dialect, setting or backbone that do not go together.
    case unsupported
    /// A file of another method, backbone or data set than the one it is given to.
    case mismatch
    /// A loss or gradient that is NaN or infinite.
    case notFinite
    /// Less memory than the smallest plan needs.
    case budgetTooSmall
    /// The system has no memory, threads or OpenBLAS.
    case unavailable
    /// The caller asked to stop.
    case cancelled
  }

  /// The exit status of sysexits.h for a command that stops with this error; 130, that of an interrupted one, for
  /// `.cancelled`.
  public var exitCode: Int32 {
    switch kind {
    case .cannotOpen: 66
    case .cannotRead, .cannotWrite: 74
    case .unsupported: 64
    case .budgetTooSmall: 75
    case .unavailable: 70
    case .cancelled: 130
    default: 65
    }
  }
}

extension TrainingError: CustomStringConvertible {
  /// `file: line N: sentence`, as far as they are known.
  public var description: String {
    var text = ""
    if let file { text += "\(file): " }
    if let line { text += "line \(line): " }
    return text + sentence
  }
}

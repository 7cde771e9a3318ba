/// Why a checkpoint was not converted, or a task not exported: which file, where in it, about what, and one sentence of
/// what was found and what was required.
public struct ConversionError: Error, Equatable, Sendable {
  public let kind: Kind
  /// Path of the file at fault, as it was opened.
  public let file: String
  /// Byte offset in `file`, or in the member of `file` that `subject` names.
  public let offset: UInt64?
  /// The tensor, key, archive entry or setting the sentence speaks of. Comes from the file: may hold any text.
  public let subject: String?
  public let sentence: String

  public init(
    _ kind: Kind, file: String, offset: UInt64? = nil, subject: String? = nil, _ sentence: String
  ) {
    self.kind = kind
    self.file = file
    self.offset = offset
    self.subject = subject
    self.sentence = sentence
  }

  public enum Kind: String, CaseIterable, Sendable {
    /// The path does not exist, may not be read, or is no regular file.
    case cannotOpen
    /// The system failed to read an open file, or the file shrank while it was read.
    case cannotRead
    /// The system failed to write the result.
    case cannotWrite
    /// Bytes that break the rules of their format.
    case malformed
    /// A pickle that asks for more than plain tensors: loading it elsewhere would run code.
    case forbidden
    /// A size beyond what this reader accepts.
    case tooLarge
    /// A well-formed file that asks for something Tusk does not do.
    case unsupported
    /// A setting of a configuration file that is absent, of the wrong type or out of range.
    case badSetting
    case unknownTensor
    case missingTensor
    case misshapenTensor
    /// A value that is NaN or infinite.
    case notFinite
    /// A Compacter whose shared rule was not saved with it.
    case lostRule
    /// Two inputs that do not belong together.
    case mismatch
    /// A part of a task that the format it is to be exported to has no form for.
    case inexpressible
    /// The caller asked to stop.
    case cancelled
  }

  /// The exit status of sysexits.h for a command that stops with this error; 130, that of an interrupted one, for
  /// `.cancelled`.
  public var exitCode: Int32 {
    switch kind {
    case .cannotOpen: 66
    case .cannotRead, .cannotWrite: 74
    case .cancelled: 130
    default: 65
    }
  }
}

extension ConversionError: CustomStringConvertible {
  public var description: String {
    var text = file.printable
    if let offset { text += ": byte \(offset)" }
    if let subject { text += ": '\(subject.printable)'" }
    return text + ": " + sentence
  }
}

extension String {
  /// The text made fit for a terminal: control characters escaped, at most 200 characters.
  package var printable: String {
    var result = ""
    for (index, scalar) in unicodeScalars.enumerated() {
      guard index < 200 else { return result + "..." }
      switch scalar.properties.generalCategory {
      case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned:
        result += scalar.escaped(asASCII: true)
      default:
        result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}

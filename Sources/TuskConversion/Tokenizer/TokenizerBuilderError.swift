/// Why a checkpoint's tokenizer cannot become a tokenizer section.
public struct TokenizerBuilderError: Error, Equatable, CustomStringConvertible {
  /// The file or the field of it that is at fault.
  public let subject: String
  /// Byte offset in that file, where one is known.
  public let offset: Int?
  /// What was found and what was required.
  public let sentence: String

  public init(_ subject: String, at offset: Int? = nil, _ sentence: String) {
    self.subject = subject
    self.offset = offset
    self.sentence = sentence
  }

  public var description: String {
    guard let offset else { return "\(subject): \(sentence)" }
    return "\(subject), byte \(offset): \(sentence)"
  }
}

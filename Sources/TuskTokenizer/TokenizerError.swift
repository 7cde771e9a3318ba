/// Why bytes are not a tokenizer section this reader accepts, or a text is not one it encodes.
///
/// `found` and `required` are the two numbers the sentence of `kind` speaks of.
public struct TokenizerError: Error, Equatable {
  public let kind: Kind
  /// Byte offset, in the section or in the text, at which the fault was seen.
  public let offset: UInt64
  public let found: UInt64
  public let required: UInt64

  public init(_ kind: Kind, at offset: UInt64, found: UInt64 = 0, required: UInt64 = 0) {
    self.kind = kind
    self.offset = offset
    self.found = found
    self.required = required
  }

  public enum Kind: UInt16, CaseIterable, Sendable {
    case truncatedHeader = 1
    case unknownKind
    case unknownFlags
    case wrongLength
    case limitExceeded
    case idOutOfRange
    case reservedNotZero
    case misplacedRange
    case wrongRangeLength
    case textTooLong

    /// What is wrong, with the words "found" and "required" standing for the numbers of the error.
    public var sentence: StaticString {
      switch self {
      case .truncatedHeader: "the section is shorter than its header; found bytes, required at least"
      case .unknownKind: "the tokenizer kind is not known to this reader; found kind, required at most"
      case .unknownFlags: "a flag is set that this reader does not know; found flags, required within the mask"
      case .wrongLength: "the section's length is not the one its header states; found, required"
      case .limitExceeded: "a count is outside its limit; found, required limit"
      case .idOutOfRange: "a special id names no piece; found id, required below"
      case .reservedNotZero: "a reserved byte is not zero; found, required"
      case .misplacedRange: "a range does not begin where the one before ends, or leaves the section; found, required"
      case .wrongRangeLength: "a range's length does not fit the counts of the header; found bytes, required"
      case .textTooLong: "the text is longer than a tokenizer encodes; found bytes, required at most"
      }
    }
  }
}

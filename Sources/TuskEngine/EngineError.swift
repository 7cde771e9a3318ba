/// Why the engine does not do what it was asked to.
public struct EngineError: Error, Equatable, Sendable {
  public let kind: Kind
  /// The number that was found and the one that was required; what they count is said by `kind`.
  public let found: Int
  public let required: Int

  public init(_ kind: Kind, found: Int = 0, required: Int = 0) {
    self.kind = kind
    self.found = found
    self.required = required
  }

  public enum Kind: UInt8, CaseIterable, Sendable {
    case notABackbone
    case noTokenizer
    case emptySource
    case sourceTooLong
    case targetTooLong
    case idOutOfRange
    case budgetTooSmall
    case planTooLarge
    case outOfMemory
    case threadsUnavailable
    case taskTooWide
    case typeOutOfRange
    case noHead
    case noDecoder
    case memoryTooSmall
    case misalignedMemory
  }

  /// One sentence about `kind`, to stand in front of the found and the required number.
  public var summary: StaticString {
    switch kind {
    case .notABackbone: "the file holds a task but no backbone"
    case .noTokenizer: "the backbone has no tokenizer, so it takes ids only"
    case .emptySource: "the source has no tokens"
    case .sourceTooLong: "the source is longer than planned (tokens)"
    case .targetTooLong: "the target is longer than planned (tokens)"
    case .idOutOfRange: "an id is not in the vocabulary (id, vocabulary size)"
    case .budgetTooSmall: "the memory budget cannot be met (bytes)"
    case .planTooLarge: "the plan needs more memory than can be addressed"
    case .outOfMemory: "the operating system has no memory for the plan (bytes)"
    case .threadsUnavailable: "the operating system has no threads for the plan (threads)"
    case .taskTooWide: "the task needs more working memory than planned (floats)"
    case .typeOutOfRange: "a token type is not in the table (type, types)"
    case .noHead: "neither the task nor the backbone has a head"
    case .noDecoder: "the backbone is an encoder and generates no text"
    case .memoryTooSmall: "the memory given is smaller than planned (bytes)"
    case .misalignedMemory: "the memory given does not begin on a multiple of 64 bytes (bytes behind one)"
    }
  }

  /// `sysexits` code for a command that ends with this error.
  public var exitCode: Int32 {
    switch kind {
    case .budgetTooSmall: 75
    case .planTooLarge, .outOfMemory, .threadsUnavailable: 70
    default: 65
    }
  }
}

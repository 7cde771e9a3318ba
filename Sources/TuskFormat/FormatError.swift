/// Why bytes are not a Tusk file this reader accepts.
///
/// `found` and `required` are the two numbers the sentence of `kind` speaks of.
public struct FormatError: Error, Equatable {
  public let kind: Kind
  /// Byte offset in the file at which the fault was seen.
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
    case cannotOpen = 1
    case notRegularFile
    case truncatedHeader
  }
}

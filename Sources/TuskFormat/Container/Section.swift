/// Numbers of the container: `formats/packed-file.md`.
package enum Container {
  /// The magic bytes read as a little-endian integer.
  package static let magic: UInt64 = 0x1A0A_0D4B_5355_5489
  package static let headerBytes = 64
  package static let checksumOffset = 60
  package static let sectionEntryBytes = 32
  package static let readVersion: UInt16 = 1
  package static let maximumSectionCount: UInt32 = 65_536
  package static let maximumProvenanceBytes = 65_536
  /// A cache line, and the widest vector register.
  package static let rowAlignment = 64
  /// The page size of the machines Tusk runs on.
  package static let pageAlignment = 4096
}

/// What a packed file holds as a whole.
public enum FileKind: UInt32, Sendable {
  case backbone = 1
  case task = 2
  case bundle = 3
}

public enum SectionKind: UInt16, CaseIterable, Sendable {
  case config = 1
  case tensorIndex = 2
  case weights = 3
  case tokenizer = 4
  case task = 5
  case provenance = 6
  case head = 7

  public var name: StaticString {
    switch self {
    case .config: "config"
    case .tensorIndex: "tensorIndex"
    case .weights: "weights"
    case .tokenizer: "tokenizer"
    case .task: "task"
    case .provenance: "provenance"
    case .head: "head"
    }
  }

  package var alignment: Int {
    switch self {
    case .config, .tensorIndex, .provenance: Container.rowAlignment
    case .weights, .tokenizer, .task, .head: Container.pageAlignment
    }
  }

  /// Whether a reader that does not know the kind has to refuse the file.
  package var isRequired: Bool {
    switch self {
    case .config, .tensorIndex, .weights, .task: true
    case .tokenizer, .provenance, .head: false
    }
  }

  /// The place of the kind in the order of sections.
  package var rank: Int {
    switch self {
    case .config: 0
    case .tensorIndex: 1
    case .provenance: 2
    case .tokenizer: 3
    case .head: 4
    case .weights: 5
    case .task: 6
    }
  }
}

/// One entry of the section table.
public struct SectionEntry: Sendable {
  /// As stored: a kind this reader does not know is legal if it is not required.
  public let rawKind: UInt16
  public let ordinal: Int
  /// CRC-32 of the section's bytes.
  public let checksum: UInt32
  public let isRequired: Bool
  /// From the start of the file.
  public let offset: Int
  public let byteCount: Int

  public var kind: SectionKind? { SectionKind(rawValue: rawKind) }
}

extension Int {
  /// The least multiple of `alignment` that is not below `self`.
  package func roundedUp(to alignment: Int) -> Int { (self + alignment - 1) / alignment * alignment }
}

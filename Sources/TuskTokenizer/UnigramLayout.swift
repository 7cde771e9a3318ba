/// The numbers of a Unigram section, shared by the reader and the writer; formats/tokenizer.md says what each means.
package enum UnigramLayout {
  package static let kind: UInt32 = 1
  package static let headerBytes = 192
  package static let plainBytesOffset = 64
  package static let rangesOffset = 80
  package static let rangesEnd = rangesOffset + 8 * Range.allCases.count

  package static let pieceCountLimit = 1 << 21
  /// Bounds every walk in a trie, and with it the time a hostile section can cost.
  package static let keyBytesLimit = 512
  /// With `textBytesLimit` it keeps every position of a normalized text within Int32.
  package static let replacementBytesLimit = 63
  package static let textBytesLimit = 1 << 25
  package static let unknownTextBytesLimit = 63

  package struct Flags {
    package static let addDummyPrefix: UInt32 = 1
    package static let removeExtraWhitespaces: UInt32 = 2
    package static let escapeWhitespaces: UInt32 = 4
    package static let wordwise: UInt32 = 8
    package static let prefixOnlyAtStart: UInt32 = 16
    package static let beginToken: UInt32 = 32
    package static let wordSums: UInt32 = 64
    package static let known: UInt32 = 127
  }

  /// The byte ranges of a section in the order in which they lie.
  package enum Range: Int, CaseIterable {
    case pieceOffsets, scores, pieceTrie, symbolTrie, rules, specials, specialTrie
    case types, pieceText, replacements, unknownText
  }

  package enum PieceType: UInt8, Sendable {
    case normal = 1
    case unknown, control, userDefined, unused
    case added = 7
  }

  package static let takesWhitespaceBefore: UInt32 = 1
  package static let takesWhitespaceAfter: UInt32 = 2
}

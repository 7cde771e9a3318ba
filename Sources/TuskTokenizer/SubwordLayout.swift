/// The numbers of a WordPiece or byte-level BPE section, shared by the reader and the writer; formats/tokenizer.md says what
/// each means.
package enum SubwordLayout {
  package static let wordPieceKind: UInt32 = 2
  package static let byteLevelKind: UInt32 = 3
  package static let headerBytes = 192
  package static let rangesOffset = 64
  package static let rangesEnd = rangesOffset + 8 * rangeCount
  package static let rangeCount = 14

  package static let pieceCountLimit = 1 << 21
  package static let keyBytesLimit = 512
  package static let wordCharactersLimit = 1000
  /// Items of a template.
  package static let templateLimit = 16
  package static let asciiBytes = 256
  package static let byteIdsBytes = 1024
  package static let mergeBytes = 12
  package static let foldBytes = 8
  /// Of a WordPiece vocabulary, before pieces that do not begin a word.
  package static let continuation = "##"

  package struct Flags {
    package static let addPrefixSpace: UInt32 = 1
    package static let decomposesHangul: UInt32 = 2
    package static let known: UInt32 = 3
  }

  /// A word of `classes`: scalar value in the low 21 bits, class in the high 8.
  package static let scalarMask: UInt32 = 0x1F_FFFF
  package static let classShift: UInt32 = 24

  /// One item of a template: the id of a token or the number of a text, and the type id of what it gives.
  package struct TemplateItem {
    package static let isText: UInt32 = 1 << 31
    package static let valueMask: UInt32 = 0xFF_FFFF
    package static let typeShift: UInt32 = 24
    package static let typeLimit: UInt32 = 16
  }

  /// A word of `folds` with bit 31 set names scalars of `foldText`: their number, and the index of the first.
  package static let foldIsText: UInt32 = 1 << 31
  package static let foldCountShift: UInt32 = 24
  package static let foldCountLimit = 127
}

/// What a character is to a tokenizer.
package struct CharacterClass: OptionSet, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Removed before anything else.
  package static let dropped = CharacterClass(rawValue: 1)
  /// Ends a word.
  package static let space = CharacterClass(rawValue: 2)
  /// A word of its own.
  package static let isolated = CharacterClass(rawValue: 4)
  /// A word of its own, whatever it is replaced by.
  package static let ideograph = CharacterClass(rawValue: 8)
  /// Has an entry in `folds`.
  package static let folded = CharacterClass(rawValue: 16)
  /// Removed after decomposition.
  package static let mark = CharacterClass(rawValue: 32)
  /// Has a combining class; without the class `mark`, an entry in `combining`.
  package static let nonstarter = CharacterClass(rawValue: 64)

  package static let letter = CharacterClass(rawValue: 1)
  package static let number = CharacterClass(rawValue: 4)
}

import TuskFormat

extension Tokenizer {
  /// The text of `ids`. Ids without a piece give nothing.
  /// - Parameter skippingSpecialTokens: leave out control tokens and sentinels and, of Unigram, write the unknown id as
  ///   " U+2047 "; otherwise each is written as its piece.
  public func decode(_ ids: [Int32], skippingSpecialTokens: Bool = true) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(ids.count * 4)
    bytes.withSpan { section in
      switch model {
      case .unigram(let model):
        decode(ids, with: model, in: section, skippingSpecialTokens, into: &text)
      case .wordPiece, .byteLevel:
        for id in ids {
          guard let piece = pieces.piece(id, in: section) else { continue }
          let type = pieces.type(of: id, in: section)
          let isSpecial = type == .control || type == .added || type == .unknown
          if isSpecial && skippingSpecialTokens { continue }
          if kind == .wordPiece {
            text.appendWordPiece(section, piece)
          } else if isSpecial {
            text.append(section, piece)
          } else {
            text.appendByteLevelPiece(section, piece)
          }
        }
      }
    }
    return text
  }

  private func decode(
    _ ids: [Int32], with model: UnigramSection, in section: RawSpan, _ skippingSpecialTokens: Bool,
    into text: inout [UInt8]
  ) {
    var dropsSpace = model.addsDummyPrefix || model.removesExtraWhitespaces
    for id in ids {
      guard let piece = model.pieces.piece(id, in: section) else { continue }
      switch model.pieces.type(of: id, in: section) {
      case .control, .added:
        if !skippingSpecialTokens { text.append(section, piece) }
      case .unknown:
        text.append(section, skippingSpecialTokens ? model.unknownText : piece)
      default:
        let dropped = text.appendPiece(section, piece, droppingSpace: dropsSpace && text.isEmpty)
        if dropped && !model.removesExtraWhitespaces { dropsSpace = false }
      }
    }
  }
}

extension [UInt8] {
  /// Appends the bytes `range` of `source`.
  mutating func append(_ source: RawSpan, _ range: Range<Int>) {
    for offset in range { append(source.unsafeLoad(fromByteOffset: offset, as: UInt8.self)) }
  }

  /// Appends a piece with each U+2581 as a space. Returns whether a leading one was dropped.
  fileprivate mutating func appendPiece(_ source: RawSpan, _ range: Range<Int>, droppingSpace: Bool) -> Bool {
    var position = range.lowerBound
    var dropped = false
    while position < range.upperBound {
      let byte = source.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      if byte == 0xE2, range.upperBound - position >= 3,
        source.unsafeLoad(fromByteOffset: position + 1, as: UInt8.self) == 0x96,
        source.unsafeLoad(fromByteOffset: position + 2, as: UInt8.self) == 0x81
      {
        if droppingSpace && position == range.lowerBound { dropped = true } else { append(0x20) }
        position += 3
      } else {
        append(byte)
        position += 1
      }
    }
    return dropped
  }

  /// Appends a piece behind a space, or without its `##` and without a space. What begins with a mark that ends a
  /// sentence, or with a comma, gets no space either.
  fileprivate mutating func appendWordPiece(_ source: RawSpan, _ range: Range<Int>) {
    let mark = UInt8(ascii: "#")
    let continues =
      range.count > 2 && source.unsafeLoad(fromByteOffset: range.lowerBound, as: UInt8.self) == mark
      && source.unsafeLoad(fromByteOffset: range.lowerBound + 1, as: UInt8.self) == mark
    if continues { return append(source, range.lowerBound + 2..<range.upperBound) }
    if !isEmpty && !Self.standsClose(source, range) { append(0x20) }
    append(source, range)
  }

  /// - Source: Hugging Face tokenizers 0.22, `cleanup` of the WordPiece decoder, as far as a piece can be concerned.
  private static func standsClose(_ source: RawSpan, _ range: Range<Int>) -> Bool {
    guard !range.isEmpty else { return false }
    switch source.unsafeLoad(fromByteOffset: range.lowerBound, as: UInt8.self) {
    case UInt8(ascii: "."), UInt8(ascii: ","), UInt8(ascii: "?"), UInt8(ascii: "!"): return true
    default: return false
    }
  }

  /// Appends the bytes that the letters of a piece stand for.
  fileprivate mutating func appendByteLevelPiece(_ source: RawSpan, _ range: Range<Int>) {
    var position = range.lowerBound
    while position < range.upperBound {
      let character = UTF8Text.character(in: source, at: position, end: range.upperBound)
      if let byte = ByteLevelAlphabet.byte(of: character.scalar) {
        append(byte)
      } else {
        append(source, position..<position + character.length)
      }
      position += character.length
    }
  }
}

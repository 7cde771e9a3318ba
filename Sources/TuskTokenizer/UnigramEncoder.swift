/// One encoding in progress: normalizes a stretch of text byte by byte and hands complete words to the lattice.
struct UnigramEncoder {
  var ids: [Int32] = []
  private(set) var lattice = UnigramLattice()
  private var stretchStart = 0
  /// Space symbols met but not yet written: at the end of a stretch they may have to vanish.
  private var pendingSpaces = 0
  /// The last thing written, or dropped for the same reason, was a space.
  private var followsSpace = false

  private static let space: UInt8 = 0x20
  private static let escapedSpace: (UInt8, UInt8, UInt8) = (0xE2, 0x96, 0x81)

  /// Appends the ids of ordinary text, the bytes `range` of `text`.
  mutating func encodeStretch(
    _ range: Range<Int>, of text: RawSpan, with model: UnigramSection,
    in section: RawSpan
  ) {
    guard !range.isEmpty else { return }
    lattice.reset()
    stretchStart = ids.count
    let addsPrefix = model.addsDummyPrefix && (range.lowerBound == 0 || !model.prefixesOnlyAtStart)
    pendingSpaces = addsPrefix ? 1 : 0
    followsSpace = model.removesExtraWhitespaces && (addsPrefix || !model.prefixesOnlyAtStart)
    var position = range.lowerBound
    while position < range.upperBound {
      let run = plainRun(from: position, to: range.upperBound, of: text, with: model)
      if run > position {
        appendPlain(position..<run, of: text, with: model, in: section)
        position = run
      } else {
        position += appendNormalized(at: position, to: range.upperBound, of: text, with: model, in: section)
      }
    }
    if !model.removesExtraWhitespaces { writePendingSpaces(with: model, in: section) }
    pendingSpaces = 0
    lattice.segment(with: model, in: section, into: &ids, stretchStart: stretchStart)
  }

  /// The end of the run of bytes from `start` that normalization copies unseen.
  private func plainRun(
    from start: Int, to end: Int, of text: RawSpan, with model: UnigramSection
  ) -> Int {
    let (low, high) = model.plainBytes
    var position = start
    while position < end {
      let byte = text.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      guard byte < 0x80, (byte < 64 ? low : high) >> UInt64(byte & 63) & 1 != 0 else { return position }
      // A rule may join this byte to a character behind it.
      let next = position &+ 1
      guard next == end || text.unsafeLoad(fromByteOffset: next, as: UInt8.self) < 0x80 else { return position }
      position = next
    }
    return position
  }

  private mutating func appendPlain(
    _ range: Range<Int>, of text: RawSpan, with model: UnigramSection,
    in section: RawSpan
  ) {
    for position in range {
      let byte = text.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      if byte == Self.space {
        if !(followsSpace && model.removesExtraWhitespaces) { meetSpace(with: model, in: section) }
        followsSpace = true
      } else {
        write(byte, with: model, in: section)
        followsSpace = false
      }
    }
  }

  /// Normalizes what begins at `start` and appends it. Returns the number of bytes it took, at least 1.
  private mutating func appendNormalized(
    at start: Int, to end: Int, of text: RawSpan, with model: UnigramSection,
    in section: RawSpan
  ) -> Int {
    if let symbol = model.symbolTrie.longestMatch(
      in: text, from: start, to: end, limit: model.longestPieceBytes, section: section)
    {
      append(start..<start + symbol.length, of: text, with: model, in: section)
      return symbol.length
    }
    if let rule = model.rules.longestMatch(
      in: text, from: start, to: end, limit: model.longestRuleBytes, section: section),
      Int(rule.value) < model.replacements.count
    {
      let lower = model.replacements.lowerBound + Int(rule.value)
      let limit = min(lower + model.longestReplacementBytes, model.replacements.upperBound)
      var upper = lower
      while upper < limit, section.unsafeLoad(fromByteOffset: upper, as: UInt8.self) != 0 { upper += 1 }
      append(lower..<upper, of: section, with: model, in: section)
      return rule.length
    }
    if let length = UTF8Text.characterLength(in: text, at: start, end: end) {
      append(start..<start + length, of: text, with: model, in: section)
      return length
    }
    for byte: UInt8 in [0xEF, 0xBF, 0xBD] { write(byte, with: model, in: section) }
    followsSpace = false
    return 1
  }

  /// Appends the bytes `range` of `source`, which one step of normalization gave.
  private mutating func append(
    _ range: Range<Int>, of source: RawSpan, with model: UnigramSection,
    in section: RawSpan
  ) {
    var position = range.lowerBound
    if followsSpace && model.removesExtraWhitespaces {
      while position < range.upperBound, source.unsafeLoad(fromByteOffset: position, as: UInt8.self) == Self.space {
        position += 1
      }
    }
    guard position < range.upperBound else { return }
    while position < range.upperBound {
      let byte = source.unsafeLoad(fromByteOffset: position, as: UInt8.self)
      followsSpace = byte == Self.space
      if followsSpace {
        meetSpace(with: model, in: section)
      } else if byte == Self.escapedSpace.0, model.escapesWhitespaces, range.upperBound - position >= 3,
        source.unsafeLoad(fromByteOffset: position + 1, as: UInt8.self) == Self.escapedSpace.1,
        source.unsafeLoad(fromByteOffset: position + 2, as: UInt8.self) == Self.escapedSpace.2
      {
        // A literal U+2581 ends words and vanishes at the end like a space, but does not swallow spaces behind it.
        meetSpace(with: model, in: section)
        position += 2
      } else {
        write(byte, with: model, in: section)
      }
      position += 1
    }
  }

  private mutating func meetSpace(with model: UnigramSection, in section: RawSpan) {
    if model.isWordwise {
      lattice.segment(with: model, in: section, into: &ids, stretchStart: stretchStart)
    }
    pendingSpaces += 1
  }

  @inline(__always)
  private mutating func write(
    _ byte: UInt8, with model: UnigramSection, in section: RawSpan
  ) {
    if pendingSpaces > 0 { writePendingSpaces(with: model, in: section) }
    lattice.word.append(byte)
  }

  private mutating func writePendingSpaces(with model: UnigramSection, in section: RawSpan) {
    while pendingSpaces > 0 {
      if model.isWordwise {
        lattice.segment(with: model, in: section, into: &ids, stretchStart: stretchStart)
      }
      if model.escapesWhitespaces {
        lattice.word.append(Self.escapedSpace.0)
        lattice.word.append(Self.escapedSpace.1)
        lattice.word.append(Self.escapedSpace.2)
      } else {
        lattice.word.append(Self.space)
      }
      pendingSpaces -= 1
    }
  }
}

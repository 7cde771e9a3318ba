import TuskTokenizer

/// The encodings that sections of every kind are made of.
enum SectionBytes {
  static func words(_ values: [UInt32]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * values.count)
    for value in values {
      for shift in stride(from: UInt32(0), to: 32, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }
    return bytes
  }

  /// Where each text begins when they lie one behind the other, and where the last one ends.
  static func offsets(_ texts: [[UInt8]]) -> [UInt8] {
    var offset: UInt32 = 0
    var offsets = [offset]
    for text in texts {
      offset += UInt32(text.count)
      offsets.append(offset)
    }
    return words(offsets)
  }

  /// - Throws: `TokenizerBuilderError` for a key the trie cannot hold, and for one that comes twice.
  static func trie(_ keys: [([UInt8], UInt32)], subject: String) throws(TokenizerBuilderError) -> [UInt8] {
    let sorted = keys.sorted { $0.0.lexicographicallyPrecedes($1.0) }.map { (text: $0.0, value: $0.1) }
    for (index, key) in sorted.enumerated() {
      let content = String(decoding: key.text, as: UTF8.self)
      guard !key.text.isEmpty, key.text.count <= UnigramLayout.keyBytesLimit, !key.text.contains(0) else {
        throw TokenizerBuilderError(
          subject,
          "piece \(key.value) has \(key.text.count) bytes, 1 ... \(UnigramLayout.keyBytesLimit) without zero bytes required"
        )
      }
      guard index == 0 || sorted[index - 1].text != key.text else {
        throw TokenizerBuilderError(subject, "the piece \(content) found twice, once required")
      }
    }
    guard let units = DoubleArrayBuilder.units(for: sorted) else {
      throw TokenizerBuilderError(
        subject, "the vocabulary needs a trie of more than \(DoubleArrayBuilder.unitLimit) units")
    }
    return words(units)
  }

  /// The entries of `ranges` in a header of `headerBytes` bytes, and the ranges.
  static func ranges(_ ranges: [[UInt8]], from headerBytes: Int) -> (entries: [UInt8], contents: [UInt8]) {
    var entries: [UInt32] = []
    var contents: [UInt8] = []
    for range in ranges {
      entries += [UInt32(headerBytes + contents.count), UInt32(range.count)]
      contents += range
    }
    return (words(entries), contents)
  }
}
